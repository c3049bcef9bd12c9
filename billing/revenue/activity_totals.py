"""Calculate daily totals of organizations and usage."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.db import connection

from billing.models import OrganizationDay, UsageDay

# Tools per feature and day. Customers can name tools, so their number is not limited.
TOOLS_PER_DAY = 20
DAYS_PER_STATEMENT = 31

# Each day with usage makes an organization active for 30 days, or until its next day with usage. The start of such a span adds one and its
# end subtracts one, so that one scan of the usage counts the active organizations of all days.
_ORGANIZATIONS = """
WITH active AS (
    SELECT DISTINCT organization_id, (bucket AT TIME ZONE 'UTC')::date AS day FROM usage_summaries
    WHERE grain = 'd' AND bucket >= %(first)s::date - 29 AND bucket < %(last)s::date + 1
), covered AS (
    SELECT day, LEAST(day + 30, LEAD(day) OVER (PARTITION BY organization_id ORDER BY day)) AS until FROM active
), steps AS (
    SELECT day, SUM(step) AS step, SUM(step) FILTER (WHERE step > 0) AS active
    FROM (SELECT day, 1 AS step FROM covered UNION ALL SELECT until, -1 FROM covered) AS each GROUP BY day
)
INSERT INTO billing_organizationday (day, organizations, created, closed, active, active_in_30_days)
SELECT day.day,
    (SELECT COUNT(*) FROM accounts_organization WHERE created_at < day.day + 1)
        - (SELECT COUNT(*) FROM accounts_organization WHERE closed_at < day.day + 1),
    (SELECT COUNT(*) FROM accounts_organization WHERE created_at >= day.day AND created_at < day.day + 1),
    (SELECT COUNT(*) FROM accounts_organization WHERE closed_at >= day.day AND closed_at < day.day + 1),
    COALESCE((SELECT active FROM steps WHERE steps.day = day.day), 0),
    COALESCE((SELECT SUM(step) FROM steps WHERE steps.day <= day.day), 0)
FROM (SELECT generate_series(%(first)s::date, %(last)s::date, interval '1 day')::date AS day) AS day
"""

_USAGE = """
INSERT INTO billing_usageday (day, feature, tool, amount, events, organizations)
SELECT (bucket AT TIME ZONE 'UTC')::date, feature, '', SUM(amount), SUM(events), COUNT(DISTINCT organization_id) FROM usage_summaries
WHERE grain = 'd' AND bucket >= %(first)s::date AND bucket < %(last)s::date + 1
GROUP BY 1, 2
UNION ALL
SELECT day, feature, tool, amount, events, organizations FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY day, feature ORDER BY events DESC, tool) AS rank FROM (
        SELECT (bucket AT TIME ZONE 'UTC')::date AS day, feature, tool, SUM(amount) AS amount, SUM(events) AS events,
            COUNT(DISTINCT organization_id) AS organizations
        FROM usage_tool_summaries
        WHERE grain = 'd' AND bucket >= %(first)s::date AND bucket < %(last)s::date + 1 AND tool <> ''
        GROUP BY 1, 2, 3
    ) AS totals
) AS ranked WHERE rank <= %(tools)s
"""


def rebuild_activity(first: date, last: date) -> None:
    """Replace the totals of these days (UTC). Call it in a transaction."""
    start = first
    with connection.cursor() as cursor:
        while start <= last:
            end = min(last, start + timedelta(days=DAYS_PER_STATEMENT - 1))
            parameters: dict[str, Any] = {"first": start, "last": end, "tools": TOOLS_PER_DAY}
            OrganizationDay.objects.filter(day__range=(start, end)).delete()
            UsageDay.objects.filter(day__range=(start, end)).delete()
            cursor.execute(_ORGANIZATIONS, parameters)
            cursor.execute(_USAGE, parameters)
            start = end + timedelta(days=1)
