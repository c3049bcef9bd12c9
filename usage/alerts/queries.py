"""Query the counters and gauges that changed since the last evaluation, and the hourly history. Events are not read.

No query takes a lock that would block the recording of usage.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from entitlements.types import Kind
from usage.authorize.build import DERIVED_FEATURES
from usage.models import NO_PERIOD

from .thresholds import SPIKE_BASELINE_DAYS, Baseline

BATCH = 2_000
# If no worker was running, alerts about a period are still sent for this long after its end.
MAX_CHANGE_AGE = timedelta(days=1)
_START = UUID(int=0)


class ChangedCounter(NamedTuple):
    """A counter or gauge whose value differs from its checkpoint.

    `period_start` is `NO_PERIOD` for a gauge. `hour`, `baseline` and `spike_threshold` come from the checkpoint.
    """

    organization_id: UUID
    feature: str
    period_start: datetime
    amount: int
    credited: int = 0
    hour: datetime | None = None
    baseline: float | None = None
    spike_threshold: float | None = None

    @property
    def kind(self) -> Kind:
        """Return whether the row is a gauge or the counter of a quota."""
        return Kind.GAUGE if self.period_start == NO_PERIOD else Kind.QUOTA

    @property
    def meter_key(self) -> tuple[UUID, str]:
        """Return the organization and the feature."""
        return self.organization_id, self.feature


# This part is materialized, so that the planner joins all rows at once instead of scanning an index per page: 100,000 current counters take
# a quarter of a second instead of several seconds. The first WHERE clause can use real time, because no organization's clock is behind it.
_COUNTERS = """
WITH changed AS MATERIALIZED (
    SELECT counter.organization_id, counter.feature, counter.period_start, counter.period_end, GREATEST(counter.used, 0) AS used,
        counter.credited, checkpoint.hour, checkpoint.baseline, checkpoint.spike_threshold
    FROM usage_counters AS counter
    LEFT JOIN usage_alert_checkpoints AS checkpoint ON checkpoint.organization_id = counter.organization_id
        AND checkpoint.feature = counter.feature AND checkpoint.period_start = counter.period_start
    WHERE counter.period_end > now() - %(max_age)s AND GREATEST(counter.used, 0) IS DISTINCT FROM COALESCE(checkpoint.evaluated_amount, 0)
)
SELECT organization_id, feature, period_start, used, credited, hour, baseline, spike_threshold
FROM changed JOIN accounts_organization AS organization ON organization.id = organization_id AND organization.closed_at IS NULL
WHERE period_end > now() + organization.clock_offset - %(max_age)s
    AND (organization_id, feature, period_start) > (%(after)s, %(feature)s, %(start)s)
ORDER BY organization_id, feature, period_start LIMIT %(batch)s
"""
_GAUGES = """
WITH gauge AS MATERIALIZED (
    SELECT organization_id, feature, value FROM usage_gauges
    UNION ALL
    SELECT membership.organization_id, derived.feature, count(*)
    FROM accounts_membership AS membership CROSS JOIN unnest(%(derived)s::text[]) AS derived (feature) GROUP BY 1, 2
), changed AS MATERIALIZED (
    SELECT gauge.* FROM gauge LEFT JOIN usage_alert_checkpoints AS checkpoint ON checkpoint.organization_id = gauge.organization_id
        AND checkpoint.feature = gauge.feature AND checkpoint.period_start = %(no_period)s
    WHERE gauge.value IS DISTINCT FROM COALESCE(checkpoint.evaluated_amount, 0)
)
SELECT organization_id, feature, %(no_period)s::timestamptz, value
FROM changed JOIN accounts_organization AS organization ON organization.id = organization_id AND organization.closed_at IS NULL
WHERE (organization_id, feature) > (%(after)s, %(feature)s)
ORDER BY organization_id, feature LIMIT %(batch)s
"""


def changed(kind: Kind, after: ChangedCounter | None) -> list[ChangedCounter]:
    """Return the next batch of changed rows after `after`, ordered by organization, feature and period."""
    position = {
        "after": after.organization_id if after else _START,
        "feature": after.feature if after else "",
        "start": after.period_start if after else NO_PERIOD,
    }
    parameters = {"max_age": MAX_CHANGE_AGE, "batch": BATCH, "no_period": NO_PERIOD, "derived": sorted(DERIVED_FEATURES)}
    return [ChangedCounter(*row) for row in _rows(_GAUGES if kind is Kind.GAUGE else _COUNTERS, position | parameters)]


Hour = tuple[UUID, str, datetime]

_HOURS = """
SELECT needed.organization_id, needed.feature, needed.bucket, total.amount
FROM unnest(%s::uuid[], %s::text[], %s::timestamptz[]) AS needed (organization_id, feature, bucket)
CROSS JOIN LATERAL (
    SELECT sum(amount)::bigint AS amount FROM usage_summaries AS summary
    WHERE summary.organization_id = needed.organization_id AND summary.grain = 'h' AND summary.bucket = needed.bucket
        AND summary.feature = needed.feature
) AS total
WHERE total.amount >= %s
"""


def hours(needed: Iterable[Hour], minimum: int) -> dict[Hour, int]:
    """Return the units used in each of these hours, omitting hours below `minimum`."""
    keys = sorted(set(needed))
    columns = [[position[number] for position in keys] for number in range(3)]
    return {(row[0], row[1], row[2]): row[3] for row in _rows(_HOURS, [*columns, minimum])}


_BASELINE = """
SELECT count(*), COALESCE(sum(amount), 0)::bigint, COALESCE(max(amount), 0)::bigint
FROM (
    SELECT sum(amount) AS amount FROM usage_summaries
    WHERE organization_id = %s AND grain = 'h' AND bucket >= %s AND bucket < %s AND feature = %s
    GROUP BY bucket HAVING sum(amount) > 0
) AS hour
"""


def baseline(organization_id: UUID, feature: str, hour: datetime) -> Baseline:
    """Return the baseline that an hour is compared with."""
    (row,) = _rows(_BASELINE, [organization_id, hour - SPIKE_BASELINE_DAYS, hour, feature])
    return Baseline(*row)


def _rows(query: str, values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
