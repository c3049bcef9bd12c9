"""Compare the summaries with the events, and rebuild them."""

from django.db import connection, transaction

# The lock blocks writers of summaries during the rebuild. Calls that have waited for some seconds are refused with 503 and
# Retry-After; none is counted in part.
_SUMMARIES = """
INSERT INTO usage_summaries (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
SELECT organization_id, grain, date_trunc(CASE grain WHEN 'h' THEN 'hour' ELSE 'day' END, occurred_at, 'UTC') AS start,
    feature, key_id, member_id, sum(amount), count(*)
FROM usage_events CROSS JOIN (VALUES ('h'), ('d')) AS grains (grain)
WHERE %(organization)s::uuid IS NULL OR organization_id = %(organization)s::uuid
GROUP BY organization_id, grain, start, feature, key_id, member_id
"""
_RECOMPUTED_DIFF = f"""
WITH recomputed AS ({_SUMMARIES.split(")", 1)[1]})
SELECT count(*) FROM recomputed FULL JOIN usage_summaries AS stored
    ON (stored.organization_id, stored.grain, stored.bucket, stored.feature, stored.key_id, stored.member_id)
     = (recomputed.organization_id, recomputed.grain, recomputed.start, recomputed.feature, recomputed.key_id, recomputed.member_id)
WHERE (stored.organization_id IS NULL OR %(organization)s::uuid IS NULL OR stored.organization_id = %(organization)s::uuid)
    AND (stored.amount, stored.events) IS DISTINCT FROM (recomputed.sum, recomputed.count)
"""  # noqa: S608 - contains no user input


def count_mismatched_summaries(organization: str | None = None) -> int:
    """Return how many summaries differ from the events. It is 0 unless rows were changed by hand."""
    with connection.cursor() as cursor:
        cursor.execute(_RECOMPUTED_DIFF, {"organization": organization})
        return int(cursor.fetchone()[0])


def rebuild_summaries(organization: str | None = None) -> int:
    """Rebuild the summaries of one organization or all, and return their number. Summaries of detached events are deleted."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE usage_summaries IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            "DELETE FROM usage_summaries WHERE %(organization)s::uuid IS NULL OR organization_id = %(organization)s::uuid",
            {"organization": organization},
        )
        cursor.execute(_SUMMARIES, {"organization": organization})
        return int(cursor.rowcount)
