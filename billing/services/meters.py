"""Overage on its way to Stripe's meters: collected from usage's counters into an outbox, sent from there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, QuerySet, Sum

from accounts.models import Organization
from billing.errors import StripeRejected, StripeUnavailable
from billing.gateway import metering
from billing.models import BillingAccount, MeterReport, SubscriptionState
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.periods import Period
from entitlements.types import Allowance
from usage import selectors

from .locks import lock_customer
from .overview import current
from .publish import event_name

log = structlog.get_logger(__name__)
# Stripe takes events of the last 35 days, and remembers an identifier for a day.
OLDEST = timedelta(days=34, hours=23)
REPEATABLE = timedelta(hours=23)
# How long a renewal's invoice stays a draft, which takes up what still comes in.
DRAFT = timedelta(hours=1)
LONGEST_MONTH = timedelta(days=31)
TRIES = 8
BATCH = 200


def collect_all() -> int:
    """Collect for every organization that sells itself overage. Returns how many reports were written."""
    settings = Organization.objects.filter(overage_settings__enabled=True, closed_at=None).distinct()
    return sum(collect(organization) for organization in settings.iterator())


def collect(organization: Organization, *, cap_minor: int = 0) -> int:
    """Write down what was sold beyond the allowance and is not reported yet. Returns how many reports that took.

    `cap_minor`: the cap that held until now, where it has just been lowered or overage turned off: what was sold under it is owed.
    """
    account = BillingAccount.objects.filter(organization=organization, customer_deleted_at=None).first()
    state = current(organization)
    if account is None or account.stripe_customer_id is None or state is None or not state.overage_item_id or not state.is_live:
        return 0
    written = 0
    for allowance in EntitlementsManager(organization).entitlements().allowances.values():
        if allowance.overage_unit_amount is None:
            continue
        for period in _periods(allowance, state, now(organization)):
            written += _collect(organization, account.stripe_customer_id, allowance, period, cap_minor)
    return written


def settle(organization: Organization) -> None:
    """Report all that was sold, before the metered item goes: nothing could be billed afterwards."""
    collect(organization)
    send(organization)


def _periods(allowance: Allowance, state: SubscriptionState, present: datetime) -> Iterator[Period]:
    """The month that runs, and the one before: late events land there."""
    running = allowance.period(present)
    before = allowance.period(running.start - timedelta(seconds=1))
    if before.end > state.started_at:
        yield before
    yield running


def owed(organization: Organization) -> bool:
    """Whether what was reported may wait for its invoice: a metered item that went would take it along, unbilled."""
    last = organization.meter_reports.exclude(state=MeterReport.State.DEAD).order_by("timestamp").last()
    return last is not None and now(organization) < last.timestamp + LONGEST_MONTH + DRAFT


def _collect(organization: Organization, customer_id: str, allowance: Allowance, period: Period, cap_minor: int) -> int:
    # Looked at first without the lock: mostly nothing was sold since the last look.
    if not _missing(organization, allowance, period, cap_minor):
        return 0
    with transaction.atomic():
        lock_customer(f"meter:{organization.pk}:{allowance.feature}")
        missing = _missing(organization, allowance, period, cap_minor)
        if not missing or _given_up(organization, allowance.feature, period):
            return 0
        write(organization, customer_id, allowance.feature, period, missing)
    if now(organization) > period.end + DRAFT:
        # Stripe bills a period once (ADR-005): whoever wants the money for these adds an item by hand.
        told = {"feature": allowance.feature, "period": period.start.isoformat(), "units": missing}
        log.warning("billing.overage_after_invoice", organization=str(organization.pk), **told)
    return 1


def _missing(organization: Organization, allowance: Allowance, period: Period, cap_minor: int) -> int:
    """Units sold and not reported yet; negative where a correction of the usage took some back."""
    setting = selectors.overage_setting(organization, allowance.feature)
    cap = max(cap_minor, setting.cap_minor if setting and setting.enabled else 0)
    if not cap or not allowance.overage_unit_amount:
        return 0  # Overage is off; what was reported stands.
    told = reported(organization, allowance.feature, period)
    units = selectors.overage_units(organization, allowance, period)
    # A cap that was lowered takes nothing back: what was sold under a higher one stays sold.
    return min(units, max(cap // allowance.overage_unit_amount, told)) - told


def reports(organization: Organization, feature: str, period: Period) -> QuerySet[MeterReport]:
    return MeterReport.objects.filter(organization=organization, feature=feature, period_start=period.start)


def reported(organization: Organization, feature: str, period: Period) -> int:
    """Units that Stripe's meter shows, if nothing went wrong on the way."""
    said = reports(organization, feature, period).filter(repair=False).exclude(state=MeterReport.State.DEAD)
    return said.aggregate(sum=Sum("units"))["sum"] or 0


def write(organization: Organization, customer_id: str, feature: str, period: Period, units: int, *, repair: bool = False) -> MeterReport:
    """One more report of the period, with a timestamp inside it. Call it under the meter's lock. A correction is negative."""
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
        # What was used lies behind us: in the second in which a subscription ends nothing is billed any more.
        timestamp=min(max(now(organization) - timedelta(seconds=1), period.start), _last_second(period)),
    )


def _given_up(organization: Organization, feature: str, period: Period) -> bool:
    """Whether Stripe would not take the last one, lately. Another every few seconds would fare no better."""
    last = reports(organization, feature, period).order_by("sequence").last()
    return last is not None and last.state == MeterReport.State.DEAD and last.created_at > now() - REPEATABLE


def whole_minute(moment: datetime) -> int:
    """The second in which the minute of that moment began: Stripe sums over whole minutes."""
    return int(moment.timestamp()) // 60 * 60


def _last_second(period: Period) -> datetime:
    """Of the last minute that lies in the period alone: in a minute that two periods share, the next one would count it too."""
    return datetime.fromtimestamp(whole_minute(period.end) - 1, UTC)


def send(organization: Organization | None = None) -> int:
    """Send what waits, of everybody or of one. Returns how many reports Stripe took."""
    waiting = MeterReport.objects.filter(state=MeterReport.State.PENDING).select_related("organization").order_by("id")
    if organization is not None:
        waiting = waiting.filter(organization=organization)
    return sum(_send(report) for report in waiting[:BATCH])


def _send(report: MeterReport) -> bool:
    present = now()
    rows = MeterReport.objects.filter(pk=report.pk)
    if now(report.organization) - report.timestamp > OLDEST:
        rows.update(state=MeterReport.State.DEAD, error="Too old for Stripe's meters.")
        return False
    if report.first_sent_at and present - report.first_sent_at > REPEATABLE:
        # Nobody can say any more whether it was counted. The comparison with the meter's total finds out, and repairs.
        rows.update(state=MeterReport.State.SENT, error="Not known to have arrived.")
        return False
    rows.filter(first_sent_at=None).update(first_sent_at=present)
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
    dead = report.attempts + 1 >= TRIES
    rows.update(error=str(error)[:500], **({"state": MeterReport.State.DEAD} if dead else {}))
    log.warning("billing.meter_rejected", report=report.identifier, final=dead)
    return False
