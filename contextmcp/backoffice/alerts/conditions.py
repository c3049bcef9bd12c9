"""The conditions that open alerts. Each takes one query that an index serves."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError

from accounts.models.operations import WorkItem, WorkItemQuerySet
from accounts.operator_alerts import Condition, report_conditions
from billing.models import ReconciliationRun, SubscriptionState, WebhookEvent
from billing.operator_alerts import UNKNOWN_PRICE
from contextmcp.common.clock import now
from contextmcp.common.incident_totals import totals
from contextmcp.common.incidents import SERVER_ERROR, UNKNOWN_KEY

log = structlog.get_logger(__name__)
# Maximum number of alerts of one kind for single objects, so that a problem of many objects does not cause as many messages.
MAX_OBJECTS = 10
MAX_COUNTED = 1000
HOUR = timedelta(hours=1)
ERROR_WINDOW = timedelta(minutes=10)
SPIKE_WINDOW = timedelta(days=1)


def evaluate() -> None:
    """Evaluate all conditions and report them."""
    for kind, find in CONDITIONS.items():
        threshold = settings.ALERT_THRESHOLDS[kind]
        try:
            report_conditions(kind, find(threshold, now()) if threshold else [])
        except DatabaseError:
            # An error in one condition must not hide the others.
            log.exception("operator_alert.condition_failed", kind=kind)


def _inbox_lag(threshold: int, present: datetime) -> list[Condition]:
    oldest = WebhookEvent.objects.pending().order_by("received_at").values_list("received_at", flat=True).first()
    seconds = (present - oldest).total_seconds() if oldest else 0
    return [Condition(f"The oldest pending Stripe event has been waiting for {seconds:,.0f} seconds.")] if seconds >= threshold else []


def _items_together(kind: str, sentence: str) -> Callable[[int, datetime], list[Condition]]:
    """Return one condition for all open work items of a kind. Its message has their number and the newest item."""

    def find(threshold: int, present: datetime) -> list[Condition]:
        items = list(_items(kind)[: max(MAX_COUNTED, threshold) + 1])
        if len(items) < threshold:
            return []
        number = f"More than {MAX_COUNTED:,}" if len(items) > MAX_COUNTED else f"{len(items):,}"
        return [Condition(f"{number} {sentence}. The newest: {items[0].title}. {items[0].detail}".strip())]

    return find


def _items_apart(kind: str, since: timedelta | None = None) -> Callable[[int, datetime], list[Condition]]:
    """Return one condition for each open work item of a kind, at most MAX_OBJECTS."""

    def find(threshold: int, present: datetime) -> list[Condition]:
        items = _items(kind).select_related("organization")
        if since is not None:
            items = items.filter(last_seen_at__gte=present - since)
        found = list(items[: max(MAX_OBJECTS, threshold)])
        if len(found) < threshold:
            return []
        return [Condition(f"{item.title}. {item.detail}", item.object_id, item.organization) for item in found[:MAX_OBJECTS]]

    return find


def _items(kind: str) -> WorkItemQuerySet:
    return WorkItem.objects.filter(kind=kind, closed_at=None).order_by("-last_seen_at", "-id")


def _unknown_prices(threshold: int, present: datetime) -> list[Condition]:
    unknown = SubscriptionState.objects.live().filter(plan_version=None).select_related("organization").order_by("-started_at")
    states = list(unknown[: max(MAX_OBJECTS, threshold)])
    if len(states) < threshold:
        return []
    return [
        Condition(f"The price {state.stripe_price_id} belongs to no plan.", state.stripe_subscription_id, state.organization)
        for state in states[:MAX_OBJECTS]
    ]


def _reconciliation(threshold: int, present: datetime) -> list[Condition]:
    run = ReconciliationRun.objects.filter(organization=None, dry_run=False).order_by("-id").first()
    return [Condition(f"The reconciliation of {run.started_at:%Y-%m-%d %H:%M} UTC failed. {run.error}")] if run and run.error else []


def _key_guessing(threshold: int, present: datetime) -> list[Condition]:
    suspects = [(address, count) for address, count in totals(UNKNOWN_KEY, HOUR).items() if count >= threshold]
    return [
        Condition(f"{address or 'An unknown address'} tried {count:,} unknown API keys within an hour.", address or "unknown")
        for address, count in suspects[:MAX_OBJECTS]
    ]


def _server_errors(threshold: int, present: datetime) -> list[Condition]:
    counts = totals(SERVER_ERROR, ERROR_WINDOW)
    number = sum(counts.values())
    most = ", ".join(f"{route or 'no route'} ({count:,})" for route, count in list(counts.items())[:3])
    return [Condition(f"{number:,} requests failed within ten minutes. Most of them: {most}.")] if number >= threshold else []


CONDITIONS: dict[str, Callable[[int, datetime], list[Condition]]] = {
    "inbox_lag": _inbox_lag,
    "dead_events": _items_together("dead_event", "Stripe events failed and need a decision"),
    "drift": _items_together("drift", "differences from Stripe could not be repaired"),
    "disputes": _items_apart("dispute"),
    "failed_emails": _items_together("failed_email", "emails could not be delivered"),
    "failed_jobs": _items_together("failed_job", "background jobs failed"),
    "rejected_meter_reports": _items_together("dead_meter_report", "overage reports were rejected and are not billed"),
    UNKNOWN_PRICE: _unknown_prices,
    "usage_spike": _items_apart("usage_spike", SPIKE_WINDOW),
    "reconciliation_failed": _reconciliation,
    "key_guessing": _key_guessing,
    "server_errors": _server_errors,
}
