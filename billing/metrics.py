"""What Prometheus is told of the inbox: how much waits, and for how long."""

from collections.abc import Iterable

from django.db import DatabaseError
from django.db.models import Count, Min
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contextmcp.common import metrics
from contextmcp.common.clock import now

from .models import MeterReport, Notice, WebhookEvent


class InboxCollector(Collector):
    """Asked of the database at each scrape, so that any process can answer for all. An unreachable one leaves the figures out."""

    def collect(self) -> Iterable[Metric]:
        try:
            yield from self._read()
        except DatabaseError:
            return

    def _read(self) -> Iterable[Metric]:
        states = dict.fromkeys((WebhookEvent.State.PENDING.value, WebhookEvent.State.DEAD.value), 0)
        unfinished = WebhookEvent.objects.filter(state__in=states)
        states |= dict(unfinished.order_by().values_list("state").annotate(Count("id")))
        events = GaugeMetricFamily("billing_inbox_events", "Events that wait, or were given up", labels=["state"])
        for state, number in states.items():
            events.add_metric([state], number)
        yield events
        oldest = WebhookEvent.objects.waiting().aggregate(oldest=Min("received_at"))["oldest"]
        lag = (now() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily("billing_inbox_lag_seconds", "Age of the oldest event that waits", value=lag)
        reports = MeterReport.objects.filter(state=MeterReport.State.PENDING).count()
        yield GaugeMetricFamily("billing_meter_reports_waiting", "Overage on its way to Stripe", value=reports)
        letters = Notice.objects.filter(sent_at=None, dropped_at=None, attempts__gt=0).count()
        yield GaugeMetricFamily("billing_letters_failing", "Letters that could not be sent so far", value=letters)

    def describe(self) -> Iterable[Metric]:
        return []


def register() -> None:
    """Once a process."""
    metrics.register(InboxCollector())
