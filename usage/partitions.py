"""Keeping the partitions: made ahead of time, detached when their events are past retention, never in a writer's way.

Events are partitioned by the month they were *recorded* in, not the one they happened in: real time only moves forward, so no late event
and no test clock can ever miss a partition, and none has to catch what fits nowhere (ADR-009).
"""

from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

MONTHS_AHEAD = 6
# 13 months, the 35 days that an event may be late, and the rest of the month.
RETENTION = timedelta(days=13 * 31 + 35)
PARENT = "usage_events"


def name(month: datetime) -> str:
    return f"{PARENT}_{month:%Y_%m}"


def following(month: datetime) -> datetime:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def create_statement(month: datetime) -> str:
    return (
        f"CREATE TABLE IF NOT EXISTS {name(month)} PARTITION OF {PARENT} "
        f"FOR VALUES FROM ('{month:%Y-%m-01 00:00:00+00}') TO ('{following(month):%Y-%m-01 00:00:00+00}')"
    )


def ahead(present: datetime) -> list[datetime]:
    """The months that must have a partition: this one and the next ones."""
    month = datetime(present.year, present.month, 1, tzinfo=UTC)
    months = [month]
    for _ in range(MONTHS_AHEAD):
        months.append(following(months[-1]))
    return months


def existing() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1", [PARENT])
        return [row[0] for row in cursor.fetchall()]


def create_ahead(present: datetime) -> list[str]:
    """Make what is missing; returns the names made."""
    there = set(existing())
    made = [month for month in ahead(present) if name(month) not in there]
    for month in made:
        # Alone in its transaction, with a short wait: a parent's lock that is not to be had at once must not queue the writers behind it.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute(create_statement(month))
    return [name(month) for month in made]


def expired(present: datetime) -> list[str]:
    """Partitions that ended longer than the retention ago."""
    return [partition for partition in existing() if _is_expired(partition, present)]


def _is_expired(partition: str, present: datetime) -> bool:
    return following(_month(partition)) <= present - RETENTION


def _month(partition: str) -> datetime:
    year, month = partition.removeprefix(f"{PARENT}_").split("_")
    return datetime(int(year), int(month), 1, tzinfo=UTC)


def detach_expired(present: datetime) -> list[str]:
    """Detach them without blocking reads or writes, then drop them. Must not run inside a transaction.

    What a former run that was interrupted left half detached goes first, and what it left undropped is dropped with the others.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass AND inhdetachpending", [PARENT])
        for (partition,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {PARENT} DETACH PARTITION {partition} FINALIZE")
        for partition in expired(present):
            cursor.execute(f"ALTER TABLE {PARENT} DETACH PARTITION {partition} CONCURRENTLY")
        gone = [partition for partition in _detached() if _is_expired(partition, present)]
        for partition in gone:
            cursor.execute(f"DROP TABLE {partition}")
    return gone


def _detached() -> list[str]:
    with connection.cursor() as cursor:
        wanted = [rf"^{PARENT}_\d{{4}}_\d{{2}}$"]
        cursor.execute("SELECT relname FROM pg_class WHERE relname ~ %s AND relkind = 'r' AND NOT relispartition ORDER BY 1", wanted)
        return [row[0] for row in cursor.fetchall()]


def purge_keys(present: datetime, *, batch: int = 10_000) -> int:
    """Forget idempotency keys past retention, a short transaction at a time; returns how many."""
    gone = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "DELETE FROM usage_event_keys WHERE (organization_id, digest) IN ("
                "SELECT organization_id, digest FROM usage_event_keys WHERE recorded_at < %s LIMIT %s FOR UPDATE SKIP LOCKED)",
                [present - RETENTION, batch],
            )
            removed = int(cursor.rowcount)
            gone += removed
            if removed < batch:
                return gone
