"""Calculate the revenue of each subscription and day from the log of changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby, zip_longest

from django.db.models import Min

from billing.models import RevenueSnapshot, SubscriptionChange
from entitlements.models import PlanVersion

from .event_order import in_effect
from .terms import NONE, changes_within, revenue_at

DAY = timedelta(days=1)
BATCH = 2000
COLUMNS = ("first_day", "last_day", "currency", "plan", "version", "interval", "state", "annual_amount")


def end_of(day: date) -> datetime:
    """Return the start of the following day (UTC)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY


def snapshots_of(changes: Sequence[SubscriptionChange], plans: dict[int, tuple[str, int]]) -> list[RevenueSnapshot]:
    """Return the days of one subscription from its changes in order: rows of consecutive days with equal values. Pure."""
    days = {change.effective_at.astimezone(UTC).date() for change in changes}
    for position, change in enumerate(changes):
        until = changes[position + 1].effective_at if position + 1 < len(changes) else None
        days |= {
            when.astimezone(UTC).date() for when in changes_within(change) if change.effective_at < when and (until is None or when < until)
        }
    rows: list[RevenueSnapshot] = []
    position = 0
    for day in sorted(days):
        end = end_of(day)
        while position + 1 < len(changes) and changes[position + 1].effective_at < end:
            position += 1
        row = _snapshot(changes[position], day, end - timedelta(microseconds=1), plans)
        if rows and rows[-1].last_day is None:
            if row is not None and _values(row) == _values(rows[-1]):
                continue
            rows[-1].last_day = day - DAY
        if row is not None:
            rows.append(row)
    return rows


def _snapshot(change: SubscriptionChange, day: date, when: datetime, plans: dict[int, tuple[str, int]]) -> RevenueSnapshot | None:
    revenue = revenue_at(change, when)
    if revenue == NONE or revenue.state is None:
        return None
    plan, version = plans.get(change.plan_version_id or 0, ("", None))
    return RevenueSnapshot(
        organization_id=change.organization_id,
        stripe_subscription_id=change.stripe_subscription_id,
        first_day=day,
        last_day=None,
        currency=change.currency,
        plan=plan,
        version=version,
        interval=change.prices[0]["interval"] if change.prices else "",
        state=revenue.state,
        annual_amount=revenue.annual_amount,
    )


def _values(row: RevenueSnapshot) -> tuple[object, ...]:
    return (row.organization_id, *(getattr(row, name) for name in COLUMNS[2:]))


def rebuild_snapshots(recorded_since: datetime | None = None) -> date | None:
    """Recalculate the snapshots of subscriptions with changes since `recorded_since`, or of all subscriptions if it is None.

    Returns the first day whose value changed, or None. Rows that stay equal are not written.
    """
    changed = SubscriptionChange.objects.order_by("stripe_subscription_id")
    if recorded_since is not None:
        changed = changed.filter(recorded_at__gte=recorded_since)
    plans = {pk: (plan, version) for pk, plan, version in PlanVersion.objects.values_list("pk", "plan", "version")}
    ids = list(changed.values_list("stripe_subscription_id", flat=True).distinct())
    first = None
    for start in range(0, len(ids), BATCH):
        day = _rebuild_batch(ids[start : start + BATCH], plans)
        first = min(filter(None, [first, day]), default=None)
    return first


def _rebuild_batch(subscription_ids: list[str], plans: dict[int, tuple[str, int]]) -> date | None:
    changes = SubscriptionChange.objects.filter(stripe_subscription_id__in=subscription_ids)
    existing: dict[str, list[RevenueSnapshot]] = defaultdict(list)
    for row in RevenueSnapshot.objects.filter(stripe_subscription_id__in=subscription_ids).order_by("first_day"):
        existing[row.stripe_subscription_id].append(row)
    outdated: list[int] = []
    days: list[date] = []
    created: list[RevenueSnapshot] = []
    ordered = changes.order_by("stripe_subscription_id", "effective_at", "id").iterator(chunk_size=BATCH)
    for subscription_id, own in groupby(ordered, key=lambda change: change.stripe_subscription_id):
        rows, former = snapshots_of(in_effect(own), plans), existing[subscription_id]
        stored = {(_values(row), row.first_day, row.last_day): row for row in former}
        kept = [stored.pop(key) for row in rows if (key := (_values(row), row.first_day, row.last_day)) in stored]
        kept_days = {row.first_day for row in kept}
        if day := first_difference(former, rows):
            days.append(day)
        outdated += [row.pk for row in stored.values()]
        created += [row for row in rows if row.first_day not in kept_days]
    RevenueSnapshot.objects.filter(pk__in=outdated).delete()
    RevenueSnapshot.objects.bulk_create(created, batch_size=BATCH)
    return min(days, default=None)


def first_difference(former: Sequence[RevenueSnapshot], rows: Sequence[RevenueSnapshot]) -> date | None:
    """Return the first day on which two calculations of one subscription differ, or None. Both lists are sorted by day."""
    for old, new in zip_longest(former, rows):
        if old is None or new is None:
            only = new or old
            assert only is not None
            return only.first_day
        if old.first_day != new.first_day or _values(old) != _values(new):
            return min(old.first_day, new.first_day)
        if old.last_day != new.last_day:
            return min(day for day in (old.last_day, new.last_day) if day) + DAY
    return None


def first_day() -> date | None:
    """Return the first day that has revenue or a trial."""
    first: date | None = RevenueSnapshot.objects.aggregate(first=Min("first_day"))["first"]
    return first
