"""Recalculate the daily figures, periodically or for any range of past days."""

from __future__ import annotations

from datetime import UTC, date, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import Max

from billing.errors import RevenueRebuildInProgress
from billing.models import OrganizationDay, RevenueDay
from contextmcp.common.clock import now
from contextmcp.common.locks import Namespace, lock_in_transaction

from .activity_totals import rebuild_activity
from .change_log import record_known_subscriptions
from .daily_totals import rebuild_totals
from .snapshots import first_day, rebuild_snapshots

log = structlog.get_logger(__name__)
DAY = timedelta(days=1)
# Number of recent days that every regular run recalculates, because invoices can be voided and usage can be reported late.
REPEATED_DAYS = 3
# `recorded_at` is the start of the transaction that records a change. A run can miss a change that was recorded before but not yet
# committed, so the next run also reads the changes of this time before it.
OVERLAP = timedelta(hours=1)
STATEMENT_MINUTES = 10
# Number of days that the first run calculates for organizations and usage.
FIRST_DAYS = 60


def today() -> date:
    """Return the current day (UTC), whose figures are still incomplete."""
    return now().astimezone(UTC).date()


def rebuild_days(first: date, last: date) -> date:
    """Recalculate all snapshots from the log of changes, and the totals of these days. Repeating it changes nothing.

    If a snapshot before `first` differs, the totals from there until today are replaced as well. Returns the first day replaced.

    Raises:
        RevenueRebuildInProgress: another process is rebuilding the figures.
    """
    with transaction.atomic():
        _lock()
        record_known_subscriptions()
        changed = rebuild_snapshots()
        complete = max(last, today())
        if changed is not None and changed <= complete:
            first, last = min(first, changed), complete
        rebuild_totals(first, last)
        rebuild_activity(first, last)
    log.info("billing.revenue_rebuilt", first=str(first), last=str(last))
    return first


def rebuild_recent_days(last: date | None = None) -> date:
    """Recalculate the snapshots of recently changed subscriptions, and the totals from the first day that they change until `last`.

    `last` is by default today. Returns the first day replaced. Raises `RevenueRebuildInProgress`.
    """
    last = last or today()
    with transaction.atomic():
        _lock()
        record_known_subscriptions()
        newest = RevenueDay.objects.aggregate(day=Max("day"), computed_at=Max("computed_at"))
        changed = rebuild_snapshots(newest["computed_at"] - OVERLAP if newest["computed_at"] else None)
        days: list[date | None] = [changed, last - (REPEATED_DAYS - 1) * DAY, newest["day"] or first_day()]
        first = min(day for day in days if day)
        rebuild_totals(first, last)
        counted = OrganizationDay.objects.aggregate(day=Max("day"))["day"] or last - FIRST_DAYS * DAY
        rebuild_activity(min(counted, last - (REPEATED_DAYS - 1) * DAY), last)
    log.info("billing.revenue_rebuilt", first=str(first), last=str(last))
    return first


def _lock() -> None:
    if not lock_in_transaction(Namespace.REVENUE, "daily figures", wait=False):
        raise RevenueRebuildInProgress
    with connection.cursor() as cursor:
        # One statement sums all days of the range, which may be years.
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_MINUTES}min'")
