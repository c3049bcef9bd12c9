"""Read usage totals from counters and summaries. Events are read only for partial hours at the ends of a range."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.db import connection
from django.db.models import Sum
from msgspec import Struct

from accounts.models import Organization
from accounts.selectors import team_members_count
from entitlements.periods import Period
from entitlements.types import RATE_WINDOW_SECONDS, Entitlements, FeatureEntitlement, Kind

from .authorize.build import DERIVED_FEATURES, period_of
from .history_query import Grouping, HistoryQuery, SummaryRange, split_range
from .models import Grain, OverageSetting, UsageCounter, UsageGauge, UsageSummary, UsageToolSummary
from .store import executor
from .store.codec import Balance
from .types import NO_KEY, NO_MEMBER


class FeatureUsage(Struct, rename="camel"):
    """Current usage of one quota, gauge or rate limit, in units. None means unlimited or not applicable.

    `included` is the plan's allowance plus the units credited to the period. A rate limit has only `included` and `window_seconds`.
    """

    feature: str
    kind: Kind
    used: int | None
    held: int
    included: int | None
    remaining: int | None
    overage: int
    resets_at: datetime | None
    window_seconds: int | None = None
    credited: int = 0


class CurrentUsage(Struct, rename="camel"):
    """Current usage of all features of an organization."""

    organization_id: Any
    plan: str
    period_start: datetime
    period_end: datetime
    usage: list[FeatureUsage]


def overage_units(organization: Organization, entitlement: FeatureEntitlement, period: Period) -> int:
    """Return the units that were used beyond the allowance and the credit of the period, whether or not they are sold as overage."""
    counter = UsageCounter.objects.filter(organization=organization, feature=entitlement.feature, period_start=period.start).first()
    return 0 if entitlement.limit is None or counter is None else max(0, counter.used - entitlement.limit - counter.credited)


def overage_setting(organization: Organization, feature: str) -> OverageSetting | None:
    """Return the organization's overage setting for a feature, or None if it was never set."""
    return OverageSetting.objects.filter(organization=organization, feature=feature).first()


def gauge_value(organization: Organization, feature: str) -> int:
    """Return the amount of a gauge that is in use, in units."""
    if feature in DERIVED_FEATURES:
        return team_members_count(organization)
    row = UsageGauge.objects.filter(organization=organization, feature=feature).first()
    return row.value if row else 0


def gauge_values(organization: Organization) -> dict[str, int]:
    """Return the amount in use of each gauge, by feature. Gauges that were never set are absent."""
    values = dict(UsageGauge.objects.filter(organization=organization).values_list("feature", "value"))
    return values | dict.fromkeys(DERIVED_FEATURES, team_members_count(organization))


def current(entitlements: Entitlements, at: datetime) -> CurrentUsage:
    """Return the current usage of all features of an organization, with one query. `at` is the organization's time."""
    period = period_at(entitlements, at)
    return build_usage(entitlements, period, executor.read_balances(entitlements.organization_id.bytes, period.start))


def period_at(entitlements: Entitlements, at: datetime) -> Period:
    """Return the usage month at `at`, which is the same for all quotas of an organization."""
    return period_of(next(iter(entitlements.features.values())), at)


def build_usage(entitlements: Entitlements, period: Period, balances: list[Balance]) -> CurrentUsage:
    """Build the usage of all features from an organization's balances."""
    counters: dict[str, tuple[int, int, int]] = {}
    gauges: dict[str, int] = {}
    for feature, amount, held, credited in balances:
        if held >= 0:
            counters[feature] = (amount, held, credited)
        else:
            gauges.update({feature: amount} if feature else dict.fromkeys(DERIVED_FEATURES, amount))
    usage = [
        _feature_usage(entitlement, counters, gauges, period)
        for entitlement in entitlements.features.values()
        if entitlement.kind is not Kind.BOOLEAN
    ]
    return CurrentUsage(entitlements.organization_id, entitlements.plan, period.start, period.end, usage)


def _feature_usage(
    entitlement: FeatureEntitlement, counters: dict[str, tuple[int, int, int]], gauges: dict[str, int], period: Period
) -> FeatureUsage:
    limit = entitlement.limit
    if entitlement.kind is Kind.RATE_LIMIT:
        return FeatureUsage(entitlement.feature, entitlement.kind, None, 0, limit, None, 0, None, RATE_WINDOW_SECONDS)
    if entitlement.kind is Kind.GAUGE:
        value = gauges.get(entitlement.feature, 0)
        remaining = None if limit is None else max(0, limit - value)
        return FeatureUsage(
            entitlement.feature, entitlement.kind, value, 0, limit, remaining, 0 if limit is None else max(0, value - limit), None
        )
    amount, held, credited = counters.get(entitlement.feature, (0, 0, 0))
    if limit is None:
        return FeatureUsage(entitlement.feature, entitlement.kind, amount, held, None, None, 0, period.end)
    included = limit + credited
    remaining, overage = max(0, included - amount - held), max(0, amount - included)
    return FeatureUsage(entitlement.feature, entitlement.kind, amount, held, included, remaining, overage, period.end, credited=credited)


class Total(Struct, rename="camel"):
    """One row of the usage history.

    `key_id`, `member_id` and `tool` are None if the history is not grouped by them, or if the events have none.
    """

    start: datetime
    feature: str
    amount: int
    events: int
    key_id: str | None = None
    member_id: int | None = None
    tool: str | None = None


class ToolTotal(Struct):
    """The charged calls of an MCP tool and the units of the feature that they used."""

    tool: str
    feature: str
    calls: int
    amount: int


def tool_totals(since: datetime, organization: Organization | None = None, *, limit: int = 20) -> list[ToolTotal]:
    """Return the tools with the most charged calls since the start of a day (UTC), of one organization or of all."""
    days = UsageToolSummary.objects.filter(grain=Grain.DAY, bucket__gte=since)
    if organization is not None:
        days = days.filter(organization=organization)
    rows = days.values_list("tool", "feature").annotate(calls=Sum("events"), units=Sum("amount")).order_by("-calls", "tool", "feature")
    return [ToolTotal(*row) for row in rows[:limit]]


def daily_totals(organization: Organization, since: datetime) -> dict[str, dict[datetime, int]]:
    """Return the units used per day since the start of a day (UTC), by feature and day. Days without usage are absent."""
    days = UsageSummary.objects.filter(organization=organization, grain=Grain.DAY, bucket__gte=since)
    totals: dict[str, dict[datetime, int]] = {}
    for feature, bucket, amount in days.values_list("feature", "bucket").annotate(units=Sum("amount")).order_by("feature", "bucket"):
        totals.setdefault(feature, {})[bucket] = amount
    return totals


def top_totals(
    organization: Organization, since: datetime, group: Literal["key", "member"], *, limit: int = 10
) -> list[tuple[str, Any, int]]:
    """Return (feature, key or member ID, units) since the start of a day (UTC), most units first.

    The ID is None for usage without a key or member.
    """
    column, missing = ("key_id", NO_KEY) if group == "key" else ("member_id", NO_MEMBER)
    days = UsageSummary.objects.filter(organization=organization, grain=Grain.DAY, bucket__gte=since)
    rows = days.values_list("feature", column).annotate(units=Sum("amount")).order_by("-units", "feature", column)
    return [(feature, None if value == missing else value, units) for feature, value, units in rows[:limit]]


def key_events(organization: Organization, since: datetime) -> dict[UUID, int]:
    """Return the number of usage events by key or app since the start of a day (UTC). Keys without events are absent."""
    days = UsageSummary.objects.filter(organization=organization, grain=Grain.DAY, bucket__gte=since).exclude(key_id=NO_KEY)
    return dict(days.values_list("key_id").annotate(count=Sum("events")))


_COLUMNS: dict[Grouping, str] = {"meter": "feature", "key": "feature, key_id", "member": "feature, member_id", "tool": "feature, tool"}


def history(organization: Organization, query: HistoryQuery, *, limit: int | None = None) -> Iterator[Total]:
    """Yield the totals of a range ordered by time, feature, and key, member or tool. Rows are fetched in batches of 1,000.

    The range includes `since` and excludes `until`, so adjacent ranges never count an event twice. A row's `start` is the start of its
    hour, day or month, also if the range covers only part of it.
    """
    statement, values = _totals(organization, query)
    statement += f" ORDER BY start, {_COLUMNS[query.group]}"
    if limit is not None:
        statement += f" LIMIT {limit:d}"
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement, values)
        while rows := cursor.fetchmany(1_000):
            for start, amount, events, feature, *rest in rows:
                key = str(rest[0]) if query.group == "key" and rest[0] != NO_KEY else None
                member = rest[0] if query.group == "member" and rest[0] != NO_MEMBER else None
                tool = rest[0] if query.group == "tool" and rest[0] else None
                yield Total(start, feature, amount, events, key, member, tool)


class Series(Struct):
    """The totals of one feature over time, of one key, member or tool if they are grouped.

    `member` is the ID of the key or user, or the name of the tool; None if the events had none, and for totals that are not grouped.
    `amounts` has the units by the start of their hour, day or month, in seconds since 1970.
    """

    feature: str
    member: UUID | int | str | None
    events: int
    amounts: dict[int, int]


def series(organization: Organization, query: HistoryQuery) -> list[Series]:
    """Return the totals of `history` by feature, and by key, member or tool.

    A key that was used every day of a month is one row here instead of thirty.
    """
    totals, values = _totals(organization, query)
    columns = _COLUMNS[query.group]
    statement = (
        f"SELECT sum(events)::bigint, json_object_agg(extract(epoch FROM start)::bigint, amount), {columns}"  # noqa: S608 - contains no user input
        f" FROM ({totals}) AS totals (start, amount, events, {columns}) GROUP BY {columns} ORDER BY {columns}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return [
            Series(feature, _member(*rest), events, {int(at): units for at, units in amounts.items()})
            for events, amounts, feature, *rest in cursor.fetchall()
        ]


def _member(value: UUID | int | str | None = None) -> UUID | int | str | None:
    return None if value in (NO_KEY, NO_MEMBER, "") else value


def _totals(organization: Organization, query: HistoryQuery) -> tuple[str, list[Any]]:
    """Return the query for the totals of a range, without an order, and its parameters."""
    columns = _COLUMNS[query.group]
    ranges = split_range(query)
    sources: list[str] = []
    values: list[Any] = []
    for time_range in ranges:
        statement, parameters = _sources(time_range, organization, by_tool=query.group == "tool")
        sources.append(statement)
        values += parameters
    # Buckets of summaries whose grain equals the interval need no truncation.
    same_grain = query.interval != "month" and [time_range.grain for time_range in ranges] == [query.interval[0]]
    start = "bucket" if same_grain else f"date_trunc('{query.interval}', bucket, 'UTC')"
    conditions = ["TRUE"]
    if query.feature is not None:
        conditions.append("feature = %s")
        values.append(query.feature)
    if query.after is not None:
        conditions.append(f"({start}, {columns}) > (%s, {', '.join(['%s'] * len(columns.split(', ')))})")
        values += [query.after.start, query.after.feature]
        values += {"meter": (), "key": (query.after.key_id,), "member": (query.after.member_id,), "tool": (query.after.tool,)}[query.group]
    statement = (
        f"SELECT {start} AS start, sum(amount)::bigint, sum(events)::bigint, {columns} FROM ({' UNION ALL '.join(sources)}) AS counted"  # noqa: S608 - contains no user input
        f" WHERE {' AND '.join(conditions)} GROUP BY start, {columns}"
        " HAVING sum(events) <> 0"
    )
    return statement, values


def _sources(time_range: SummaryRange, organization: Organization, *, by_tool: bool) -> tuple[str, list[Any]]:
    """Return the query for the rows of a range, and its parameters.

    With `by_tool`, there is a row for each tool, and a row with an empty name for usage without a tool.
    """
    span = [time_range.since, time_range.until]
    if time_range.grain is None:
        column = "COALESCE(tool, '') AS tool" if by_tool else "key_id, member_id"
        return (
            f"SELECT occurred_at AS bucket, feature, {column}, amount, 1 AS events FROM usage_events"  # noqa: S608 - contains no user input
            " WHERE organization_id = %s AND occurred_at >= %s AND occurred_at < %s",
            [organization.pk, *span],
        )
    where = "WHERE organization_id = %s AND grain = %s AND bucket >= %s AND bucket < %s"
    parameters = [organization.pk, time_range.grain, *span]
    if not by_tool:
        return f"SELECT bucket, feature, key_id, member_id, amount, events FROM usage_summaries {where}", parameters  # noqa: S608 - as above
    tools = f"FROM usage_tool_summaries {where}"
    parts = (
        f"SELECT bucket, feature, '' AS tool, amount, events FROM usage_summaries {where}",  # noqa: S608 - as above
        f"SELECT bucket, feature, tool, amount, events {tools}",
        f"SELECT bucket, feature, '', -amount, -events {tools}",
    )
    return " UNION ALL ".join(parts), parameters * len(parts)
