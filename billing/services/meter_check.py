"""Stripe's meter totals against what was reported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db import transaction
from django.db.models import Max

from accounts.models import Organization
from billing.gateway import catalog, metering
from billing.models import BillingAccount, MeterReport
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.periods import Period
from usage import selectors

from . import meters
from .locks import lock_customer
from .publish import event_name

# Stripe counts meter events some time after it took them.
SETTLED = timedelta(minutes=30)


def compare(organization: Organization, *, dry_run: bool, settled: timedelta = SETTLED) -> Iterator[tuple[str, int, int]]:
    """Of the month that runs: (period, units reported, units at Stripe) where they differ; the difference is reported then.

    What was used and is not reported yet is on its way (`collect`), and no difference.
    """
    account = BillingAccount.objects.filter(organization=organization, customer_deleted_at=None).first()
    if account is None or not account.stripe_customer_id:
        return
    at_stripe = {meter["event_name"]: meter["id"] for meter in catalog.meters()}
    for allowance in EntitlementsManager(organization).entitlements().allowances.values():
        meter_id = at_stripe.get(event_name(allowance.feature))
        setting = selectors.overage_setting(organization, allowance.feature)
        if meter_id is None or setting is None or not setting.enabled or not allowance.overage_unit_amount:
            continue
        period = allowance.period(now(organization))
        # Counted first: a report that is written after this is noticed, one from before is unsettled or at Stripe.
        known = meters.reports(organization, allowance.feature, period).count()
        if _unsettled(organization, allowance.feature, period, settled):
            continue
        reported = meters.reported(organization, allowance.feature, period)
        start, end = _minutes(period)
        total = metering.total(meter_id, customer_id=account.stripe_customer_id, start=start, end=end)
        if total != reported and (dry_run or _repair(account, allowance.feature, period, reported - total, known)):
            yield f"{allowance.feature} {period.start.isoformat()}", reported, total


def _repair(account: BillingAccount, feature: str, period: Period, units: int, known: int) -> bool:
    """Report the difference, unless more was reported since there were `known` reports: who did may have repaired it already."""
    organization = account.organization
    with transaction.atomic():
        lock_customer(f"meter:{organization.pk}:{feature}")
        if meters.reports(organization, feature, period).count() != known:
            return False
        meters.write(organization, str(account.stripe_customer_id), feature, period, units, repair=True)
    return True


def _unsettled(organization: Organization, feature: str, period: Period, settled: timedelta) -> bool:
    """Whether something is still under way, so that the totals need not agree yet."""
    reports = meters.reports(organization, feature, period)
    last = reports.aggregate(last=Max("sent_at"))["last"]
    return reports.filter(state=MeterReport.State.PENDING).exists() or bool(last and now() - last < settled)


def _minutes(period: Period) -> tuple[int, int]:
    return meters.whole_minute(period.start), meters.whole_minute(period.end) + 60
