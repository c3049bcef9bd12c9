"""What Prometheus reads, and who may read it."""

import os
from collections.abc import Iterable

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from .errors import NotFound
from .problems import response

# What is asked of the database at each scrape, so that any process can answer for all.
COLLECTORS: list[Collector] = []


def metrics(request: HttpRequest) -> HttpResponse:
    """Everything, to who sends METRICS_TOKEN. Without a token in the settings there is nothing here."""
    sent = request.headers.get("Authorization", "")
    if not settings.METRICS_TOKEN or not constant_time_compare(sent, f"Bearer {settings.METRICS_TOKEN}"):
        return response(NotFound())
    return HttpResponse(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)


def register(collector: Collector) -> None:
    """Have `collector` asked at each scrape; once for each class."""
    if not any(isinstance(each, type(collector)) for each in COLLECTORS):
        COLLECTORS.append(collector)
        REGISTRY.register(collector)


def _registry() -> CollectorRegistry:
    """The counters of all processes on this machine where they share PROMETHEUS_MULTIPROC_DIR, of this process otherwise."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no annotation here
    for each in COLLECTORS:
        registry.register(each)
    return registry


class QueueCollector(Collector):
    def collect(self) -> Iterable[Metric]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT status::text, count(*) FROM procrastinate_jobs WHERE status <> 'succeeded' GROUP BY 1")
                states = dict.fromkeys(("todo", "doing", "failed"), 0) | dict(cursor.fetchall())
        except DatabaseError:
            return
        jobs = GaugeMetricFamily("queue_jobs", "Jobs by status", labels=["status"])
        for status, number in states.items():
            jobs.add_metric([status], number)
        yield jobs

    def describe(self) -> Iterable[Metric]:
        return []
