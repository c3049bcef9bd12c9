"""Prometheus gauges of billing: inbox size and age, pending meter reports, failing emails and open alerts."""

from collections.abc import Iterable

from django.db import DatabaseError
from django.db.models import Count, Min
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from accounts.models import OperatorAlert
from contextmcp.common import metrics
from contextmcp.common.clock import now

from .models import BillingNotification, MeterReport, SubscriptionState, WebhookEvent


class InboxCollector(Collector):
    """Queries the database at each scrape, so that every process reports the same values. Without a database nothing is reported."""

    def collect(self) -> Iterable[Metric]:
        try:
            yield from self._read()
        except DatabaseError:
            return

    def _read(self) -> Iterable[Metric]:
        states = dict.fromkeys((WebhookEvent.State.PENDING.value, WebhookEvent.State.DEAD.value), 0)
        unfinished = WebhookEvent.objects.filter(state__in=states)
        states |= dict(unfinished.order_by().values_list("state").annotate(Count("id")))
        events = GaugeMetricFamily("billing_inbox_events", "Pending and dead events", labels=["state"])
        for state, number in states.items():
            events.add_metric([state], number)
        yield events
        oldest = WebhookEvent.objects.pending().aggregate(oldest=Min("received_at"))["oldest"]
        lag = (now() - oldest).total_seconds() if oldest else 0.0
        yield GaugeMetricFamily("billing_inbox_lag_seconds", "Age of the oldest pending event", value=lag)
        reports = MeterReport.objects.filter(state=MeterReport.State.PENDING).count()
        yield GaugeMetricFamily("billing_meter_reports_pending", "Meter reports that are not sent yet", value=reports)
        paused = SubscriptionState.objects.live().exclude(collection_paused="").count()
        yield GaugeMetricFamily("billing_collection_paused", "Subscriptions whose payment collection is paused", value=paused)
        failing = BillingNotification.objects.filter(sent_at=None, canceled_at=None, attempts__gt=0).count()
        yield GaugeMetricFamily("billing_emails_failing", "Unsent billing emails with at least one failed attempt", value=failing)

        alerts = GaugeMetricFamily("operator_alerts_open", "Open operator alerts", labels=["code"])
        counts = OperatorAlert.objects.filter(resolved_at=None).order_by().values_list("code").annotate(Count("id"))
        for code, number in counts:
            alerts.add_metric([code], number)
        yield alerts

    def describe(self) -> Iterable[Metric]:
        return []


def register() -> None:
    """Register the collector. Call it once per process."""
    metrics.register(InboxCollector())
