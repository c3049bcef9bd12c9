"""Summaries and counters once more, from the events: what they ought to be."""

from django.db import connection, transaction

# Writers are shut out of the summaries for as long as this takes: calls are refused (503, with Retry-After) once they have waited for some
# seconds, and nothing is half counted.
_SUMMARIES = """
INSERT INTO usage_summaries (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
SELECT organization_id, grain, date_trunc(CASE grain WHEN 'h' THEN 'hour' ELSE 'day' END, occurred_at, 'UTC') AS start,
    feature, key_id, member_id, sum(amount), count(*)
FROM usage_events CROSS JOIN (VALUES ('h'), ('d')) AS grains (grain)
WHERE %(organization)s::uuid IS NULL OR organization_id = %(organization)s::uuid
GROUP BY organization_id, grain, start, feature, key_id, member_id
"""
_FRESH = f"""
WITH counted AS ({_SUMMARIES.split(")", 1)[1]})
SELECT count(*) FROM counted FULL JOIN usage_summaries AS kept
    ON (kept.organization_id, kept.grain, kept.bucket, kept.feature, kept.key_id, kept.member_id)
     = (counted.organization_id, counted.grain, counted.start, counted.feature, counted.key_id, counted.member_id)
WHERE (kept.organization_id IS NULL OR %(organization)s::uuid IS NULL OR kept.organization_id = %(organization)s::uuid)
    AND (kept.amount, kept.events) IS DISTINCT FROM (counted.sum, counted.count)
"""  # noqa: S608 - its own text


def differences(organization: str | None = None) -> int:
    """How many summaries are not what the events say; 0 unless somebody changed rows by hand."""
    with connection.cursor() as cursor:
        cursor.execute(_FRESH, {"organization": organization})
        return int(cursor.fetchone()[0])


def rebuild_summaries(organization: str | None = None) -> int:
    """Make them anew, of one organization or of all; returns how many there are. What is past retention goes with its events."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE usage_summaries IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(
            "DELETE FROM usage_summaries WHERE %(organization)s::uuid IS NULL OR organization_id = %(organization)s::uuid",
            {"organization": organization},
        )
        cursor.execute(_SUMMARIES, {"organization": organization})
        return int(cursor.rowcount)
