"""What changed since the last look, and what the past was like: counters, levels and summaries, never events.

Nothing here takes a lock that the statements of counting wait for.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from entitlements.types import Kind
from usage.asking import COUNTED
from usage.models import NO_PERIOD

from .rules import SPIKE_PAST, Past

BATCH = 2_000
# A warning of the period that ended while no worker ran is still news for so long.
NEWS = timedelta(days=1)
_START = UUID(int=0)


class Changed(NamedTuple):
    """`period_start` is `NO_PERIOD` for a level. The last three are what was stored with what was seen before."""

    organization_id: UUID
    feature: str
    period_start: datetime
    amount: int
    hour: datetime | None = None
    usual: float | None = None
    spike_above: float | None = None

    @property
    def kind(self) -> Kind:
        return Kind.LIMIT if self.period_start == NO_PERIOD else Kind.QUOTA

    @property
    def place(self) -> tuple[UUID, str]:
        return self.organization_id, self.feature


# Materialized, so that the planner joins everything at once instead of walking an index by the page: 100,000 running counters take a
# quarter of a second so, and several the other way. No organization's clock is behind real time.
_COUNTERS = """
WITH changed AS MATERIALIZED (
    SELECT counter.organization_id, counter.feature, counter.period_start, counter.period_end, counter.used,
        watch.hour, watch.usual, watch.spike_above
    FROM usage_counters AS counter
    LEFT JOIN usage_watches AS watch ON watch.organization_id = counter.organization_id AND watch.feature = counter.feature
        AND watch.period_start = counter.period_start
    WHERE counter.period_end > now() - %(news)s AND counter.used IS DISTINCT FROM COALESCE(watch.seen, 0)
)
SELECT organization_id, feature, period_start, used, hour, usual, spike_above
FROM changed JOIN accounts_organization AS organization ON organization.id = organization_id AND organization.closed_at IS NULL
WHERE period_end > now() + organization.clock_offset - %(news)s
    AND (organization_id, feature, period_start) > (%(after)s, %(feature)s, %(start)s)
ORDER BY organization_id, feature, period_start LIMIT %(batch)s
"""
_LEVELS = """
WITH level AS MATERIALIZED (
    SELECT organization_id, feature, value FROM usage_levels
    UNION ALL
    SELECT membership.organization_id, counted.feature, count(*)
    FROM accounts_membership AS membership CROSS JOIN unnest(%(counted)s::text[]) AS counted (feature) GROUP BY 1, 2
), changed AS MATERIALIZED (
    SELECT level.* FROM level LEFT JOIN usage_watches AS watch ON watch.organization_id = level.organization_id
        AND watch.feature = level.feature AND watch.period_start = %(no_period)s
    WHERE level.value IS DISTINCT FROM COALESCE(watch.seen, 0)
)
SELECT organization_id, feature, %(no_period)s::timestamptz, value
FROM changed JOIN accounts_organization AS organization ON organization.id = organization_id AND organization.closed_at IS NULL
WHERE (organization_id, feature) > (%(after)s, %(feature)s)
ORDER BY organization_id, feature LIMIT %(batch)s
"""


def changed(kind: Kind, after: Changed | None) -> list[Changed]:
    """The next batch, by organization and feature."""
    place = {
        "after": after.organization_id if after else _START,
        "feature": after.feature if after else "",
        "start": after.period_start if after else NO_PERIOD,
    }
    more = {"news": NEWS, "batch": BATCH, "no_period": NO_PERIOD, "counted": sorted(COUNTED)}
    return [Changed(*row) for row in _rows(_LEVELS if kind is Kind.LIMIT else _COUNTERS, place | more)]


Hour = tuple[UUID, str, datetime]

_HOURS = """
SELECT wanted.organization_id, wanted.feature, wanted.bucket, total.amount
FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS wanted (organization_id, feature, bucket)
CROSS JOIN LATERAL (
    SELECT sum(amount)::bigint AS amount FROM usage_summaries AS summary
    WHERE summary.organization_id = wanted.organization_id AND summary.grain = 'h' AND summary.bucket = wanted.bucket
        AND summary.feature = wanted.feature
) AS total
WHERE total.amount >= %s
"""


def hours(wanted: Iterable[Hour], least: int) -> dict[Hour, int]:
    """What was used in these hours, where it was at least so much."""
    places = sorted(set(wanted))
    columns = [[place[number] for place in places] for number in range(3)]
    return {(row[0], row[1], row[2]): row[3] for row in _rows(_HOURS, [*columns, least])}


_PAST = """
SELECT count(*), COALESCE(sum(amount), 0)::bigint, COALESCE(max(amount), 0)::bigint
FROM (
    SELECT sum(amount) AS amount FROM usage_summaries
    WHERE organization_id = %s AND grain = 'h' AND bucket >= %s AND bucket < %s AND feature = %s
    GROUP BY bucket HAVING sum(amount) > 0
) AS hour
"""


def past(organization_id: UUID, feature: str, hour: datetime) -> Past:
    """What that hour is compared with."""
    (row,) = _rows(_PAST, [organization_id, hour - SPIKE_PAST, hour, feature])
    return Past(*row)


def _rows(query: str, values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
