"""Prometheus metrics: the endpoint, its authorization and the collectors that query the database."""

import os
from collections.abc import Iterable, Mapping

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from .errors import NotFound
from .health import HEARTBEAT_SECONDS
from .problems import response

# Collectors that query the database at each scrape. They return the same values in every process.
COLLECTORS: list[Collector] = []


def metrics(request: HttpRequest) -> HttpResponse:
    """Return all metrics to a request with METRICS_TOKEN, and 404 otherwise or if no token is configured."""
    if not permits(request.headers.get("Authorization", "")):
        return response(NotFound())
    return HttpResponse(render(), content_type=CONTENT_TYPE_LATEST)


def permits(authorization: str) -> bool:
    """Return whether the `Authorization` header contains METRICS_TOKEN. Return False if no token is configured."""
    return bool(settings.METRICS_TOKEN) and constant_time_compare(authorization, f"Bearer {settings.METRICS_TOKEN}")


def render() -> bytes:
    """Return all metrics in the Prometheus text format. Blocks: it reads files of other processes and queries the database."""
    return generate_latest(_registry())


def register(collector: Collector) -> None:
    """Register `collector` for all scrapes, unless a collector of its class is registered."""
    if not any(isinstance(each, type(collector)) for each in COLLECTORS):
        COLLECTORS.append(collector)
        REGISTRY.register(collector)


def _registry() -> CollectorRegistry:
    """Return the registry of all processes on this machine that share PROMETHEUS_MULTIPROC_DIR, or of this process without it."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no annotation here
    for each in COLLECTORS:
        registry.register(each)
    return registry


class QueueCollector(Collector):
    """Collects counts of jobs, workers and outgoing email from the database; `database_up` is 0 if it cannot be queried."""

    def collect(self) -> Iterable[Metric]:
        try:
            families = list(self._read())
        except DatabaseError:
            families = []
        yield GaugeMetricFamily("database_up", "Whether Postgres responds", value=bool(families))
        yield from families

    def _read(self) -> Iterable[Metric]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT status::text, count(*) FROM procrastinate_jobs WHERE status <> 'succeeded' GROUP BY 1")
            states = dict.fromkeys(("todo", "doing", "failed"), 0) | dict(cursor.fetchall())
            cursor.execute(
                "SELECT coalesce(extract(epoch FROM max(now() - scheduled_at)), 0) FROM procrastinate_jobs"
                " WHERE status = 'todo' AND scheduled_at < now()"
            )
            late = float(cursor.fetchone()[0])
            cursor.execute(
                "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => %s)", [HEARTBEAT_SECONDS]
            )
            workers = cursor.fetchone()[0]
            cursor.execute(
                "SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'queued' AND attempts > 0),"
                " count(*) FILTER (WHERE state = 'failed') FROM common_outgoingemail WHERE state <> 'sent'"
            )
            emails = dict(zip(("queued", "retrying", "failed"), cursor.fetchone(), strict=True))
        yield _family("queue_jobs", "Jobs by status", "status", states)
        yield GaugeMetricFamily("queue_lag_seconds", "Seconds that the most overdue job has been waiting", value=late)
        yield GaugeMetricFamily("queue_workers", "Workers with a current heartbeat", value=workers)
        yield _family("emails", "Outgoing email: queued (retrying among them) or given up in the last 30 days", "state", emails)

    def describe(self) -> Iterable[Metric]:
        return []


def _family(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
