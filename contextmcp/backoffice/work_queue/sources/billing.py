"""Billing problems: dead events, differences from Stripe, disputes, unknown prices, and usage that was not billed."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Count, F, Q, QuerySet

from accounts.models import WorkItem
from billing.models import Adjustment, Drift, MeterReport, ReconciliationRun, SubscriptionState, WebhookEvent
from contextmcp.common.admin_links import list_url
from contextmcp.common.money import format_amount

from .base import LIMIT, Finding, RowSource, Source, first_line, organizations_of_customers

# Reconciliation runs every night, so that a difference that continues is found again.
RECENT_DRIFT = timedelta(days=7)
RECENT_RUNS = 30
# Statuses of a dispute or an early inquiry that await evidence or a decision (Stripe API, Dispute.status).
OPEN_DISPUTES = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")


class DeadEvents(RowSource):
    """Stripe events that failed on every attempt and are no longer retried."""

    kind = "dead_event"
    title = "Dead Stripe events"
    model = "billing.webhookevent"
    priority = WorkItem.Priority.URGENT

    def rows(self, present: datetime) -> QuerySet[WebhookEvent]:
        """Return dead events."""
        return WebhookEvent.objects.dead().defer("payload").order_by("-received_at")

    def findings(self, rows: list[WebhookEvent]) -> Iterable[Finding]:
        """Return a problem for each event, with its error."""
        organizations = organizations_of_customers(event.subject for event in rows)
        for event in rows:
            title = f"{event.type} failed after {event.attempts} attempts"
            yield Finding(str(event.pk), title, first_line(event.error), organizations.get(event.subject))


class UnrepairedDrift(Source):
    """Differences from Stripe that reconciliation cannot repair. The object is the difference's kind and subject."""

    kind = "drift"
    title = "Differences from Stripe"
    model = "billing.drift"
    priority = WorkItem.Priority.HIGH
    ends = False

    def find(self, present: datetime) -> list[Finding]:
        """Return the differences of the last days that were not repaired."""
        rows = Drift.objects.filter(repaired=False, run__dry_run=False, created_at__gte=present - RECENT_DRIFT).order_by("-created_at")
        newest: dict[str, Finding] = {}
        for drift in rows[:LIMIT]:
            detail = f"At Stripe: {_value(drift.expected)}; here: {_value(drift.actual)}."
            title = f"{drift.kind.replace('_', ' ').capitalize()}: {drift.subject}"
            identity = f"{drift.kind} {drift.subject}"[:255]
            newest.setdefault(identity, Finding(identity, title[:255], detail, drift.organization_id, str(drift.run_id)))
        return list(newest.values())

    def url(self, object_id: str) -> str:
        """Return the list of the subject's differences."""
        return list_url("billing.drift", q=object_id.partition(" ")[2])


class RepairedDrift(RowSource):
    """Reconciliation runs that repaired differences: an event was missed, or the code has a bug."""

    kind = "repaired_drift"
    title = "Repaired differences"
    model = "billing.reconciliationrun"
    ends = False

    def rows(self, present: datetime) -> QuerySet[ReconciliationRun]:
        """Return recent runs with repaired differences."""
        recent = ReconciliationRun.objects.order_by("-id").values("pk")[:RECENT_RUNS]
        runs = ReconciliationRun.objects.filter(pk__in=recent, dry_run=False, started_at__gte=present - RECENT_DRIFT)
        return runs.annotate(repaired=Count("drifts", filter=Q(drifts__repaired=True))).filter(repaired__gt=0).order_by("-id")

    def findings(self, rows: list[ReconciliationRun]) -> Iterable[Finding]:
        """Return a problem for each run, with its number of differences."""
        for run in rows:
            number: int = run.repaired  # type: ignore[attr-defined]
            title = f"Reconciliation of {run.started_at:%Y-%m-%d %H:%M} repaired {number} difference{'s' if number > 1 else ''}"
            yield Finding(str(run.pk), title, "Investigate why the events for these changes had no effect.", run.organization_id)

    def url(self, object_id: str) -> str:
        """Return the list of the run's differences."""
        return list_url("billing.drift", run__id__exact=object_id)


class Disputes(RowSource):
    """Disputes that await evidence or a decision."""

    kind = "dispute"
    title = "Open disputes"
    model = "billing.adjustment"
    priority = WorkItem.Priority.URGENT

    def rows(self, present: datetime) -> QuerySet[Adjustment]:
        """Return open disputes."""
        return Adjustment.objects.filter(kind=Adjustment.Kind.DISPUTE, status__in=OPEN_DISPUTES).order_by("-created_at")

    def findings(self, rows: list[Adjustment]) -> Iterable[Finding]:
        """Return a problem for each dispute, with its amount and reason. A new status is a new occurrence."""
        for dispute in rows:
            title = f"Dispute of {format_amount(dispute.amount, dispute.currency)}: {dispute.status.replace('_', ' ')}"
            detail = f"Reason: {dispute.reason.replace('_', ' ') or 'not stated'}. Respond at Stripe before the deadline."
            yield Finding(str(dispute.pk), title, detail, dispute.organization_id, dispute.status)


class UnknownPrices(RowSource):
    """Subscriptions to prices that belong to no plan, so that the customer pays without getting a plan."""

    kind = "unknown_price"
    title = "Unknown prices"
    model = "billing.subscriptionstate"
    priority = WorkItem.Priority.URGENT

    def rows(self, present: datetime) -> QuerySet[SubscriptionState]:
        """Return live subscriptions without a plan."""
        return SubscriptionState.objects.live().filter(plan_version=None).order_by("-started_at")

    def findings(self, rows: list[SubscriptionState]) -> Iterable[Finding]:
        """Return a problem for each subscription, with its price."""
        for state in rows:
            title = f"The price {state.stripe_price_id or 'of this subscription'} belongs to no plan"
            detail = f"{state.stripe_subscription_id} is {state.status}. Register the price for a plan version."
            yield Finding(str(state.pk), title, detail, state.organization_id, state.stripe_price_id)


class DeadMeterReports(RowSource):
    """Overage that Stripe did not accept: it will not be invoiced."""

    kind = "dead_meter_report"
    title = "Rejected meter reports"
    model = "billing.meterreport"
    priority = WorkItem.Priority.HIGH

    def rows(self, present: datetime) -> QuerySet[MeterReport]:
        """Return dead meter reports."""
        return MeterReport.objects.filter(state=MeterReport.State.DEAD).order_by(F("created_at").desc())

    def findings(self, rows: list[MeterReport]) -> Iterable[Finding]:
        """Return a finding for each report. Its title states how many units are not billed."""
        for report in rows:
            title = f"{report.units:,} {report.feature} of {report.period_start:%B %Y} are not billed"
            yield Finding(str(report.pk), title, first_line(report.error), report.organization_id)


def _value(value: object) -> str:
    return "nothing" if value is None else str(value)[:200]


SOURCES = (DeadEvents, UnrepairedDrift, RepairedDrift, Disputes, UnknownPrices, DeadMeterReports)
