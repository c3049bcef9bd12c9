"""The periodic look: what changed, what of it is worth a warning, and remembering both in one transaction.

Looking twice, in two workers, or again after being killed in the middle, says nothing twice: an alert is unique in its period.
What is looked at is what was used, taken or given back since: a limit that changes is judged with the next use.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import Organization
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.types import Allowance, Kind
from usage.models import NO_PERIOD, UsageAlert, UsageWatch

from . import news, rules, sources
from .sources import Changed

# A look shortly after the full hour still sees the hour that ended.
LATE = timedelta(minutes=1)
MOST_BATCHES = 1_000
KEEP = timedelta(days=62)


def look() -> int:
    """Look at all that changed. Returns how many alerts were written."""
    return sum(_kind(kind) for kind in (Kind.QUOTA, Kind.LIMIT))


def _kind(kind: Kind) -> int:
    written, last = 0, None
    for _ in range(MOST_BATCHES):
        batch = sources.changed(kind, last)
        if batch:
            written += _batch(batch)
            last = batch[-1]
        if len(batch) < sources.BATCH:
            break
    return written


def _batch(batch: list[Changed]) -> int:
    organizations = Organization.objects.in_bulk({one.organization_id for one in batch})
    watches: list[UsageWatch] = []
    found: list[UsageAlert] = []
    hours = _hours(batch, organizations)
    for one in batch:
        organization = organizations[one.organization_id]
        watch = UsageWatch(
            organization_id=one.organization_id,
            feature=one.feature,
            period_start=one.period_start,
            seen=one.amount,
            hour=one.hour,
            usual=one.usual,
            spike_above=one.spike_above,
        )
        watches.append(watch)
        allowance = EntitlementsManager(organization).entitlements().allowances.get(one.feature)
        if allowance is not None and allowance.kind is one.kind and allowance.enabled:
            found += _threshold(organization, one, allowance)
            found += _spike(organization, watch, allowance, hours.get(one.place, ()))
    with transaction.atomic():
        _remember(watches)
        return news.spread(found)


def _threshold(organization: Organization, one: Changed, allowance: Allowance) -> Iterable[UsageAlert]:
    at = now(organization)
    period = allowance.period(at if one.kind is Kind.LIMIT else one.period_start)
    if one.kind is Kind.QUOTA and period.start != one.period_start:
        return  # Of a plan that is no more: nothing is counted there now.
    if one.kind is Kind.LIMIT and (allowance.limit or 0) < rules.LEAST_LEVEL:
        return
    reached = rules.threshold(one.amount, allowance.limit)
    if reached is not None:
        yield UsageAlert(
            organization=organization,
            feature=one.feature,
            period_start=period.start,
            period_end=period.end,
            kind=f"threshold_{reached}",
            used=one.amount,
            included=allowance.limit,
            happened_at=at,
        )


Hours = list[tuple[datetime, int]]


def _hours(batch: list[Changed], organizations: dict[Any, Organization]) -> dict[Any, Hours]:
    """By organization and feature: the hours that may be spikes, with what was used in them."""
    wanted = set()
    for one in batch:
        if one.kind is Kind.QUOTA:
            at = now(organizations[one.organization_id])
            wanted |= {(*one.place, moment.replace(minute=0, second=0, microsecond=0)) for moment in (at - LATE, at)}
    found: dict[Any, Hours] = {}
    for (organization_id, feature, hour), amount in sorted(sources.hours(wanted, rules.SPIKE_LEAST).items()) if wanted else ():
        found.setdefault((organization_id, feature), []).append((hour, amount))
    return found


def _spike(
    organization: Organization, watch: UsageWatch, allowance: Allowance, hours: Iterable[tuple[datetime, int]]
) -> Iterable[UsageAlert]:
    at = now(organization)
    period = allowance.period(at)
    for hour, amount in hours:
        if watch.hour != hour:  # The past of an hour is looked up once, and kept for as long as that hour runs.
            past = sources.past(organization.pk, watch.feature, hour)
            watch.hour, watch.usual, watch.spike_above = hour, past.usual, past.spike_above
        if watch.spike_above is not None and amount > watch.spike_above:
            yield UsageAlert(
                organization=organization,
                feature=watch.feature,
                period_start=period.start,
                period_end=period.end,
                kind=UsageAlert.Kind.SPIKE,
                used=amount,
                included=allowance.limit,
                usual=watch.usual,
                hour=hour,
                happened_at=at,
            )


def _remember(watches: list[UsageWatch]) -> None:
    UsageWatch.objects.bulk_create(
        watches,
        update_conflicts=True,
        unique_fields=["organization_id", "feature", "period_start"],
        update_fields=["seen", "hour", "usual", "spike_above"],
    )


def forget_watches() -> None:
    """Of periods that nobody looks at any more."""
    UsageWatch.objects.filter(period_start__gt=NO_PERIOD, period_start__lt=datetime.now(UTC) - KEEP).delete()
