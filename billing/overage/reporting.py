"""Reports overage to Stripe's meters: units are read from usage's counters, written to an outbox, and sent from there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, QuerySet, Sum

from accounts.models import Organization
from billing import operator_alerts
from billing.catalog.publish import event_name
from billing.customer_locks import lock_meter
from billing.errors import StripeRejected, StripeUnavailable
from billing.models import BillingAccount, MeterReport, SubscriptionState
from billing.selectors import current_subscription
from billing.stripe.gateway import metering
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.periods import Period
from entitlements.types import FeatureEntitlement
from usage import selectors

log = structlog.get_logger(__name__)
# Stripe accepts meter events of the last 35 days and deduplicates identifiers for at least 24 hours
# (https://docs.stripe.com/api/billing/meter-event/create). An hour is left as a margin.
MAX_REPORT_AGE = timedelta(days=34, hours=23)
DEDUP_WINDOW = timedelta(hours=23)
# A renewal invoice stays a draft for an hour and still includes late meter events.
DRAFT_WINDOW = timedelta(hours=1)
MAX_MONTH = timedelta(days=31)
MAX_ATTEMPTS = 8
BATCH = 200


def enqueue_all_reports() -> int:
    """Write the reports of every organization with overage enabled. Returns the number of reports written."""
    organizations = Organization.objects.filter(overage_settings__enabled=True, closed_at=None).distinct()
    return sum(enqueue_reports(organization) for organization in organizations.iterator())


def enqueue_reports(organization: Organization, *, cap_minor: int = 0) -> int:
    """Write reports of the overage that is not reported yet. Returns the number of reports written.

    `cap_minor` is the previous cap in minor units if it was just lowered or overage was disabled: units sold under it are still billed.
    """
    account = BillingAccount.objects.filter(organization=organization, customer_deleted_at=None).first()
    state = current_subscription(organization)
    if account is None or account.stripe_customer_id is None or state is None or not state.overage_item_id or not state.is_live:
        return 0
    written = 0
    for entitlement in EntitlementsManager(organization).entitlements().features.values():
        if entitlement.overage_unit_amount is None:
            continue
        for period in _periods(entitlement, state, now(organization)):
            written += _collect(organization, account.stripe_customer_id, entitlement, period, cap_minor)
    return written


def flush(organization: Organization) -> None:
    """Report all overage now. Call it before the metered item is removed, because Stripe bills nothing after that."""
    enqueue_reports(organization)
    send_reports(organization)


def _periods(entitlement: FeatureEntitlement, state: SubscriptionState, current_time: datetime) -> Iterator[Period]:
    """Yield the previous usage month, which late events can change, and the current one."""
    current = entitlement.period(current_time)
    previous = entitlement.period(current.start - timedelta(seconds=1))
    if previous.end > state.started_at:
        yield previous
    yield current


def has_unbilled_usage(organization: Organization) -> bool:
    """Return whether reported units may still wait for their invoice. Removing the metered item now would leave them unbilled."""
    last = organization.meter_reports.exclude(state=MeterReport.State.DEAD).order_by("timestamp").last()
    return last is not None and now(organization) < last.timestamp + MAX_MONTH + DRAFT_WINDOW


def _collect(organization: Organization, customer_id: str, entitlement: FeatureEntitlement, period: Period, cap_minor: int) -> int:
    # This is checked without the lock first, because most calls have nothing to report.
    if not _missing(organization, entitlement, period, cap_minor):
        return 0
    with transaction.atomic():
        lock_meter(organization, entitlement.feature)
        missing = _missing(organization, entitlement, period, cap_minor)
        if not missing or _recently_rejected(organization, entitlement.feature, period):
            return 0
        insert_report(organization, customer_id, entitlement.feature, period, missing)
    if now(organization) > period.end + DRAFT_WINDOW:
        # Stripe bills a period once (ADR-005): these units can only be billed with an invoice item that staff add.
        details = {"feature": entitlement.feature, "period": period.start.isoformat(), "units": missing}
        log.warning("billing.overage_after_invoice", organization=str(organization.pk), **details)
    return 1


def _missing(organization: Organization, entitlement: FeatureEntitlement, period: Period, cap_minor: int) -> int:
    """Return the units that are sold but not reported yet; negative if a usage correction reduced them."""
    setting = selectors.overage_setting(organization, entitlement.feature)
    cap = max(cap_minor, setting.cap_minor if setting and setting.enabled else 0)
    if not cap or not entitlement.overage_unit_amount:
        return 0  # Overage is disabled. Reports that were already sent stay valid.
    reported = reported_units(organization, entitlement.feature, period)
    units = selectors.overage_units(organization, entitlement, period)
    # Lowering the cap does not reverse units that were sold under the higher one.
    return min(units, max(cap // entitlement.overage_unit_amount, reported)) - reported


def reports(organization: Organization, feature: str, period: Period) -> QuerySet[MeterReport]:
    """Return all reports of a feature in a usage month."""
    return MeterReport.objects.filter(organization=organization, feature=feature, period_start=period.start)


def reported_units(organization: Organization, feature: str, period: Period) -> int:
    """Return the units reported for a period, without repairs and dead reports: the expected total of Stripe's meter."""
    rows = reports(organization, feature, period).filter(repair=False).exclude(state=MeterReport.State.DEAD)
    return rows.aggregate(sum=Sum("units"))["sum"] or 0


def insert_report(
    organization: Organization, customer_id: str, feature: str, period: Period, units: int, *, repair: bool = False
) -> MeterReport:
    """Insert the next report of a period, with a timestamp inside it. Negative `units` are a correction.

    The caller must hold the meter's lock (`lock_meter`).
    """
    sequence = reports(organization, feature, period).count() + 1
    return MeterReport.objects.create(
        organization=organization,
        feature=feature,
        stripe_customer_id=customer_id,
        period_start=period.start,
        sequence=sequence,
        units=units,
        repair=repair,
        identifier=f"{organization.pk.hex}-{feature}-{int(period.start.timestamp())}-{sequence}",
        # One second is subtracted, because Stripe does not bill events of the second in which a subscription ends.
        timestamp=min(max(now(organization) - timedelta(seconds=1), period.start), _last_second(period)),
    )


def _recently_rejected(organization: Organization, feature: str, period: Period) -> bool:
    """Return whether Stripe rejected the last report within `DEDUP_WINDOW`, so that another would be rejected as well."""
    last = reports(organization, feature, period).order_by("sequence").last()
    return last is not None and last.state == MeterReport.State.DEAD and last.created_at > now() - DEDUP_WINDOW


def whole_minute(moment: datetime) -> int:
    """Return the start of the moment's minute as a Unix timestamp. Stripe aggregates meter events by whole minutes."""
    return int(moment.timestamp()) // 60 * 60


def _last_second(period: Period) -> datetime:
    """Return the last second of the last whole minute of `period`.

    Stripe aggregates by minute: a timestamp in a minute that spans two periods would also be billed in the next period.
    """
    return datetime.fromtimestamp(whole_minute(period.end) - 1, UTC)


def send_reports(organization: Organization | None = None) -> int:
    """Send pending reports, of all organizations or of one. Returns the number that Stripe accepted."""
    pending = MeterReport.objects.filter(state=MeterReport.State.PENDING).select_related("organization").order_by("id")
    if organization is not None:
        pending = pending.filter(organization=organization)
    return sum(_send(report) for report in pending[:BATCH])


def _send(report: MeterReport) -> bool:
    current_time = now()
    rows = MeterReport.objects.filter(pk=report.pk)
    if now(report.organization) - report.timestamp > MAX_REPORT_AGE:
        rows.update(state=MeterReport.State.DEAD, error="Older than the 35 days that Stripe meters accept.")
        return False
    if report.first_sent_at and current_time - report.first_sent_at > DEDUP_WINDOW:
        # Stripe may no longer deduplicate the report, so sending it again could count its units twice. `meter_totals` compares with
        # Stripe's total and repairs a missing report.
        rows.update(
            state=MeterReport.State.SENT,
            error="Delivery unknown: the idempotency window has passed. The next reconciliation checks the meter total.",
        )
        return False
    rows.filter(first_sent_at=None).update(first_sent_at=current_time)
    rows.update(attempts=F("attempts") + 1)
    try:
        metering.report(
            event_name=event_name(report.feature),
            customer_id=report.stripe_customer_id,
            value=report.units,
            identifier=report.identifier,
            timestamp=int(report.timestamp.timestamp()),
        )
    except StripeUnavailable as error:
        rows.update(error=str(error)[:500])
        return False
    except StripeRejected as error:
        return _rejected(report, error)
    rows.update(state=MeterReport.State.SENT, sent_at=now(), error="")
    return True


def _rejected(report: MeterReport, error: StripeRejected) -> bool:
    rows = MeterReport.objects.filter(pk=report.pk)
    if "identifier" in str(error) and "already" in str(error):
        rows.update(state=MeterReport.State.SENT, sent_at=now(), error="")
        return True
    final = report.attempts + 1 >= MAX_ATTEMPTS
    rows.update(error=str(error)[:500], **({"state": MeterReport.State.DEAD} if final else {}))
    log.warning("billing.meter_rejected", report=report.identifier, final=final)
    operator_alerts.alert_operator(error, report.organization)
    return False
