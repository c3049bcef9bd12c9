"""Insert millions of events of recent days into the product's tables, with matching keys, summaries and counters."""

from __future__ import annotations

import time
from collections.abc import Sequence

import psycopg
from psycopg import sql

from tests.bench.compare import say

CHUNK = 250_000
# One organization has a tenth of all events, because usage is never distributed evenly.
HEAVY = 0.1
_FRESH = """
CREATE TEMP TABLE fresh AS
SELECT
    ids.organizations[CASE WHEN random() < {heavy} THEN 1 ELSE 1 + floor(random() * {count})::int END] AS organization_id,
    first + random() * (now() - first) AS at,
    decode(md5(random()::text || clock_timestamp()::text || n), 'hex') AS digest
FROM (SELECT {organizations}::uuid[] AS organizations) AS ids,
    (SELECT greatest(date_trunc('month', now()), {since}::timestamptz) AS first) AS span,
    generate_series(1, {chunk}) AS n
"""
# in the order of time, as they would have arrived
_EVENTS = """
INSERT INTO usage_events (organization_id, feature, amount, occurred_at, recorded_at, key_id, member_id, digest, properties)
SELECT organization_id, 'sessions', 1, at, at, {key}, 1, digest, '{{"tool":"search","server":"github"}}' FROM fresh ORDER BY at
"""
_KEYS = """
INSERT INTO usage_idempotency_keys (organization_id, digest, fingerprint, recorded_at)
SELECT organization_id, digest, substr(digest, 1, 8), at FROM fresh
"""
_SUMMARIES = """
INSERT INTO usage_summaries AS summary (organization_id, grain, bucket, feature, key_id, member_id, amount, events)
SELECT organization_id, left(grain, 1), date_trunc(grain, at, 'UTC'), 'sessions', {key}, 1, count(*), count(*)
FROM fresh, unnest(ARRAY['hour', 'day']) AS grain GROUP BY 1, 2, 3
ON CONFLICT (organization_id, grain, bucket, feature, key_id, member_id)
    DO UPDATE SET amount = summary.amount + excluded.amount, events = summary.events + excluded.events
"""
_COUNTERS = """
INSERT INTO usage_counters (organization_id, feature, period_start, period_end, used, held, credited)
SELECT organization_id, 'sessions', {start}::timestamptz, {end}::timestamptz, count(*), 0, 0
FROM fresh WHERE at >= {start}::timestamptz GROUP BY 1
ON CONFLICT (organization_id, feature, period_start) DO UPDATE SET used = usage_counters.used + excluded.used
"""


def grow(url: str, organizations: Sequence[str], period: tuple[str, str], events: int) -> None:
    """Add `events` that occurred since the start of the month or the period, whichever is later: earlier partitions may not exist."""
    started = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET work_mem = '256MB'")
        done = 0
        while done < events:
            chunk = min(CHUNK, events - done)
            words = {
                "heavy": sql.Literal(HEAVY),
                "count": sql.Literal(len(organizations)),
                "organizations": sql.Literal(list(organizations)),
                "since": sql.Literal(period[0]),
                "start": sql.Literal(period[0]),
                "end": sql.Literal(period[1]),
                "chunk": sql.Literal(chunk),
                "key": sql.Literal("00000000-0000-0000-0000-000000000007") + sql.SQL("::uuid"),
            }
            with connection.transaction():
                for statement in (_FRESH, _EVENTS, _KEYS, _SUMMARIES, _COUNTERS):
                    connection.execute(sql.SQL(statement).format(**words))
                connection.execute("DROP TABLE fresh")
            done += chunk
            if done % (4 * CHUNK) == 0:
                say(f"  grown to {done:,} events in {time.monotonic() - started:.0f} s")
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
