"""Totals, read from counters and summaries; from events only for the parts of hours at the ends of a span."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import connection
from msgspec import Struct

from accounts.models import Organization
from accounts.selectors import team_members_count
from entitlements.periods import Period
from entitlements.types import RATE_WINDOW_SECONDS, Allowance, Entitlements, Kind

from . import statements, store
from .asking import COUNTED, period_of
from .binary import Times, Uuids
from .models import OverageSetting, UsageCounter, UsageLevel
from .spans import Span, pieces
from .types import NO_KEY, NOBODY


class Standing(Struct, rename="camel"):
    """How one meter, level or limit stands. None for what is unlimited, or does not apply; rates are told by their limit alone."""

    feature: str
    kind: Kind
    used: int | None
    held: int
    included: int | None
    remaining: int | None
    overage: int
    resets_at: datetime | None
    window_seconds: int | None = None


class Current(Struct, rename="camel"):
    organization_id: Any
    plan: str
    period_start: datetime
    period_end: datetime
    usage: list[Standing]


def used(organization: Organization, feature: str, period: Period) -> int:
    """What was counted in the period, corrections included; never below 0."""
    counter = UsageCounter.objects.filter(organization=organization, feature=feature, period_start=period.start).first()
    return max(0, counter.used) if counter else 0


def overage_units(organization: Organization, allowance: Allowance, period: Period) -> int:
    """Units beyond the allowance in the period, whether or not they are sold."""
    return 0 if allowance.limit is None else max(0, used(organization, allowance.feature, period) - allowance.limit)


def overage_setting(organization: Organization, feature: str) -> OverageSetting | None:
    return OverageSetting.objects.filter(organization=organization, feature=feature).first()


def level(organization: Organization, feature: str) -> int:
    """How much of a level is in use."""
    if feature in COUNTED:
        return team_members_count(organization)
    row = UsageLevel.objects.filter(organization=organization, feature=feature).first()
    return row.value if row else 0


def current(entitlements: Entitlements, at: datetime) -> Current:
    """Every meter, level and limit of an organization, in one query."""
    period = period_at(entitlements, at)
    values = [Uuids([entitlements.organization_id.bytes]), Times([period.start])]
    rows = store.cursor().execute(statements.STANDING, values, prepare=True, binary=True)
    return told(entitlements, period, [(feature, amount, held) for _, feature, amount, held in rows])


def period_at(entitlements: Entitlements, at: datetime) -> Period:
    """The one all its quotas are in."""
    return period_of(next(iter(entitlements.allowances.values())), at)


def told(entitlements: Entitlements, period: Period, rows: list[tuple[str, int, int]]) -> Current:
    """What the rows of STANDING say."""
    counters: dict[str, tuple[int, int]] = {}
    levels: dict[str, int] = {}
    for feature, amount, held in rows:
        if held >= 0:
            counters[feature] = (amount, held)
        else:
            levels.update({feature: amount} if feature else dict.fromkeys(COUNTED, amount))
    usage = [
        _standing(allowance, counters, levels, period) for allowance in entitlements.allowances.values() if allowance.kind is not Kind.FLAG
    ]
    return Current(entitlements.organization_id, entitlements.plan, period.start, period.end, usage)


def _standing(allowance: Allowance, counters: dict[str, tuple[int, int]], levels: dict[str, int], period: Period) -> Standing:
    limit = allowance.limit
    if allowance.kind is Kind.RATE:
        return Standing(allowance.feature, allowance.kind, None, 0, limit, None, 0, None, RATE_WINDOW_SECONDS)
    if allowance.kind is Kind.LIMIT:
        value = levels.get(allowance.feature, 0)
        left = None if limit is None else max(0, limit - value)
        return Standing(allowance.feature, allowance.kind, value, 0, limit, left, 0 if limit is None else max(0, value - limit), None)
    amount, held = counters.get(allowance.feature, (0, 0))
    amount = max(0, amount)
    left = None if limit is None else max(0, limit - amount - held)
    over = 0 if limit is None else max(0, amount - limit)
    return Standing(allowance.feature, allowance.kind, amount, held, limit, left, over, period.end)


class Total(Struct, rename="camel"):
    """`key_id` and `member_id` are None where it is not grouped by them, or where there was none."""

    start: datetime
    feature: str
    amount: int
    events: int
    key_id: str | None = None
    member_id: int | None = None


def history(organization: Organization, span: Span, *, limit: int | None = None) -> Iterator[Total]:
    """Return the totals of a span by time, then feature, then key or member; streamed, a thousand rows at a time.

    Exactly what happened from `since` until before `until`: adjacent spans never count an event twice. A row's `start` is the beginning
    of its hour, day or month, also where the span covers only a part of it.
    """
    columns = {"meter": "feature", "key": "feature, key_id", "member": "feature, member_id"}[span.group]
    parts = pieces(span)
    sources: list[str] = []
    values: list[Any] = []
    known: tuple[str, ...]
    for piece in parts:
        if piece.grain is None:
            rows = (
                "SELECT occurred_at AS bucket, feature, key_id, member_id, amount, 1 AS events FROM usage_events WHERE organization_id = %s"
            )
            place, known = "occurred_at", ()
        else:
            rows = (
                "SELECT bucket, feature, key_id, member_id, amount, events FROM usage_summaries WHERE organization_id = %s AND grain = %s"
            )
            place, known = "bucket", (piece.grain,)
        sources.append(f"{rows} AND {place} >= %s AND {place} < %s")
        values += [organization.pk, *known, piece.since, piece.until]
    # Summaries of the interval itself begin where it does.
    whole = span.interval != "month" and [piece.grain for piece in parts] == [span.interval[0]]
    start = "bucket" if whole else f"date_trunc('{span.interval}', bucket, 'UTC')"
    conditions = ["TRUE"]
    if span.feature is not None:
        conditions.append("feature = %s")
        values.append(span.feature)
    if span.after is not None:
        conditions.append(f"({start}, {columns}) > (%s, {', '.join(['%s'] * len(columns.split(', ')))})")
        values += [span.after.start, span.after.feature]
        values += {"meter": (), "key": (span.after.key_id,), "member": (span.after.member_id,)}[span.group]
    query = (
        f"SELECT {start} AS start, sum(amount)::bigint, sum(events)::bigint, {columns} FROM ({' UNION ALL '.join(sources)}) AS counted"  # noqa: S608 - nobody's input
        f" WHERE {' AND '.join(conditions)} GROUP BY start, {columns} ORDER BY start, {columns}"
    )
    if limit is not None:
        query += f" LIMIT {limit:d}"
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, values)
        while rows := cursor.fetchmany(1_000):
            for start, amount, events, feature, *rest in rows:
                key = str(rest[0]) if span.group == "key" and rest[0] != NO_KEY else None
                member = rest[0] if span.group == "member" and rest[0] != NOBODY else None
                yield Total(start, feature, amount, events, key, member)
