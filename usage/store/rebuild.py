"""Compare the summaries with the events, and rebuild them."""

from django.db import connection, transaction

# The lock blocks writers of summaries during the rebuild. Calls that wait longer than the lock timeout are refused with 503 and
# Retry-After, and nothing of them is counted.
_SUMMARIES = """
INSERT INTO usage_summaries (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
SELECT organization_id, grain, date_trunc(CASE grain WHEN 'h' THEN 'hour' ELSE 'day' END, occurred_at, 'UTC') AS start,
    feature, key_id, member_id, sum(amount), count(*)
FROM usage_events CROSS JOIN (VALUES ('h'), ('d')) AS grains (grain)
WHERE %(organization)s::uuid IS NULL OR organization_id = %(organization)s::uuid
GROUP BY organization_id, grain, start, feature, key_id, member_id
"""
_TOOL_SUMMARIES = """
INSERT INTO usage_tool_summaries (organization_id, grain, bucket, feature, tool, amount, events)
SELECT organization_id, grain, date_trunc(CASE grain WHEN 'h' THEN 'hour' ELSE 'day' END, occurred_at, 'UTC') AS start,
    feature, tool, sum(amount), count(*)
FROM usage_events CROSS JOIN (VALUES ('h'), ('d')) AS grains (grain)
WHERE tool IS NOT NULL AND (%(organization)s::uuid IS NULL OR organization_id = %(organization)s::uuid)
GROUP BY organization_id, grain, start, feature, tool
"""
_RECOMPUTED_DIFF = f"""
WITH recomputed AS ({_SUMMARIES.split(")", 1)[1]})
SELECT count(*) FROM recomputed FULL JOIN usage_summaries AS stored
    ON (stored.organization_id, stored.grain, stored.bucket, stored.feature, stored.key_id, stored.member_id)
     = (recomputed.organization_id, recomputed.grain, recomputed.start, recomputed.feature, recomputed.key_id, recomputed.member_id)
WHERE (stored.organization_id IS NULL OR %(organization)s::uuid IS NULL OR stored.organization_id = %(organization)s::uuid)
    AND (stored.amount, stored.events) IS DISTINCT FROM (recomputed.sum, recomputed.count)
"""  # noqa: S608 - contains no user input
_RECOMPUTED_TOOL_DIFF = f"""
WITH recomputed AS ({_TOOL_SUMMARIES.split(")", 1)[1]})
SELECT count(*) FROM recomputed FULL JOIN usage_tool_summaries AS stored
    ON (stored.organization_id, stored.grain, stored.bucket, stored.feature, stored.tool)
     = (recomputed.organization_id, recomputed.grain, recomputed.start, recomputed.feature, recomputed.tool)
WHERE (stored.organization_id IS NULL OR %(organization)s::uuid IS NULL OR stored.organization_id = %(organization)s::uuid)
    AND (stored.amount, stored.events) IS DISTINCT FROM (recomputed.sum, recomputed.count)
"""  # noqa: S608 - contains no user input


def count_mismatched_summaries(organization: str | None = None) -> int:
    """Return how many summaries differ from the events. It is 0 unless rows were changed by hand."""
    total = 0
    with connection.cursor() as cursor:
        for statement in (_RECOMPUTED_DIFF, _RECOMPUTED_TOOL_DIFF):
            cursor.execute(statement, {"organization": organization})
            total += int(cursor.fetchone()[0])
    return total


def rebuild_summaries(organization: str | None = None) -> int:
    """Rebuild the summaries of one organization or all, and return their number. Summaries of detached events are deleted."""
    total = 0
    with transaction.atomic(), connection.cursor() as cursor:
        # In the order in which the statements that count lock them.
        for table, statement in (("usage_summaries", _SUMMARIES), ("usage_tool_summaries", _TOOL_SUMMARIES)):
            cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
            cursor.execute(
                f"DELETE FROM {table} WHERE %(organization)s::uuid IS NULL OR organization_id = %(organization)s::uuid",  # noqa: S608 - as above
                {"organization": organization},
            )
            cursor.execute(statement, {"organization": organization})
            total += int(cursor.rowcount)
    return total
