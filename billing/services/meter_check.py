"""Stripe's meter totals against what was sold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from accounts.models import Organization
from billing.gateway import catalog, metering
from billing.models import BillingAccount, MeterReport
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.periods import Period

from . import meters
from .locks import lock_customer
from .publish import event_name

# Stripe counts meter events some time after it took them.
SETTLED = timedelta(minutes=30)


def compare(organization: Organization, *, dry_run: bool, settled: timedelta = SETTLED) -> Iterator[tuple[str, int, int]]:
    """Of the month that runs: (period, units sold, units at Stripe) where they differ; the difference is reported then."""
    account = BillingAccount.objects.filter(organization=organization, customer_deleted_at=None).first()
    if account is None or not account.stripe_customer_id:
        return
    at_stripe = {meter["event_name"]: meter["id"] for meter in catalog.meters()}
    for allowance in EntitlementsManager(organization).entitlements().allowances.values():
        meter_id = at_stripe.get(event_name(allowance.feature))
        period = allowance.period(now(organization))
        sold = meters.units_sold(organization, allowance, period) if allowance.overage_unit_amount else None
        if sold is None or meter_id is None or _unsettled(organization, allowance.feature, period, settled):
            continue
        start, end = _minutes(period)
        total = metering.total(meter_id, customer_id=account.stripe_customer_id, start=start, end=end)
        if total != sold:
            yield f"{allowance.feature} {period.start.isoformat()}", sold, total
            if not dry_run:
                with transaction.atomic():
                    lock_customer(f"meter:{organization.pk}:{allowance.feature}")
                    meters.write(organization, account.stripe_customer_id, allowance.feature, period, sold - total, repair=True)


def _unsettled(organization: Organization, feature: str, period: Period, settled: timedelta) -> bool:
    """Whether something is still under way, so that the totals need not agree yet."""
    reports = MeterReport.objects.filter(organization=organization, feature=feature, period_start=period.start)
    last = reports.aggregate(last=Max("sent_at"))["last"]
    return reports.filter(state=MeterReport.State.PENDING).exists() or bool(last and now() - last < settled)


def _minutes(period: Period) -> tuple[int, int]:
    """Stripe sums over whole minutes."""
    return _floor(period.start), _floor(period.end) + 60


def _floor(moment: datetime) -> int:
    return int(moment.timestamp()) // 60 * 60
