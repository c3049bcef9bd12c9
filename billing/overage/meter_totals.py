"""Comparison of Stripe's meter totals with the reported units."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db import transaction
from django.db.models import Max

from accounts.models import Organization
from billing.catalog.publish import event_name
from billing.customer_locks import lock_meter
from billing.models import BillingAccount, MeterReport
from billing.stripe.gateway import catalog, metering
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.periods import Period
from usage import selectors

from . import reporting

# Stripe aggregates meter events asynchronously, so recent reports may be missing from a total.
SETTLE_DELAY = timedelta(minutes=30)


def compare_totals(organization: Organization, *, dry_run: bool, settled: timedelta = SETTLE_DELAY) -> Iterator[tuple[str, int, int]]:
    """Yield (subject, units reported, units at Stripe) for each meter whose totals differ in the current usage month.

    Unless `dry_run`, the difference is reported to Stripe first. Usage that is not reported yet (`reporting.enqueue_reports`) does not
    count as a difference. Totals are compared only when `settled` has passed since the last report.
    """
    account = BillingAccount.objects.filter(organization=organization, customer_deleted_at=None).first()
    if account is None or not account.stripe_customer_id:
        return
    at_stripe = {meter["event_name"]: meter["id"] for meter in catalog.meters()}
    for entitlement in EntitlementsManager(organization).entitlements().features.values():
        meter_id = at_stripe.get(event_name(entitlement.feature))
        setting = selectors.overage_setting(organization, entitlement.feature)
        if meter_id is None or setting is None or not setting.enabled or not entitlement.overage_unit_amount:
            continue
        period = entitlement.period(now(organization))
        # Count the reports before reading Stripe's total, so that `_repair` notices reports that are inserted meanwhile.
        known = reporting.reports(organization, entitlement.feature, period).count()
        if _unsettled(organization, entitlement.feature, period, settled):
            continue
        reported = reporting.reported_units(organization, entitlement.feature, period)
        start, end = _minutes(period)
        total = metering.total(meter_id, customer_id=account.stripe_customer_id, start=start, end=end)
        if total != reported and (dry_run or _repair(account, entitlement.feature, period, reported - total, known)):
            yield f"{entitlement.feature} {period.start.isoformat()}", reported, total


def _repair(account: BillingAccount, feature: str, period: Period, units: int, known: int) -> bool:
    """Report the difference. If the number of reports is no longer `known`, another run may have repaired it, so report nothing."""
    organization = account.organization
    with transaction.atomic():
        lock_meter(organization, feature)
        if reporting.reports(organization, feature, period).count() != known:
            return False
        reporting.insert_report(organization, str(account.stripe_customer_id), feature, period, units, repair=True)
    return True


def _unsettled(organization: Organization, feature: str, period: Period, settled: timedelta) -> bool:
    """Return whether reports are pending or were sent within `settled`, so that the totals may still differ."""
    reports = reporting.reports(organization, feature, period)
    last = reports.aggregate(last=Max("sent_at"))["last"]
    return reports.filter(state=MeterReport.State.PENDING).exists() or bool(last and now() - last < settled)


def _minutes(period: Period) -> tuple[int, int]:
    return reporting.whole_minute(period.start), reporting.whole_minute(period.end) + 60
