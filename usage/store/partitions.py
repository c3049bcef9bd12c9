"""Maintain the partitions of usage events: create them in advance, and detach (never drop) them after the retention period.

Events are partitioned by the month in which they were *recorded*, not the one in which they occurred. Real time only moves forward, so
late events and test clocks never need a missing partition, and no default partition is necessary (ADR-009).
"""

from datetime import UTC, datetime, timedelta

import structlog
from django.db import connection, transaction

log = structlog.get_logger(__name__)
MONTHS_AHEAD = 6
# 13 months of up to 31 days, plus the 35 days that an event may be late.
RETENTION = timedelta(days=13 * 31 + 35)
PARENT = "usage_events"


def name(month: datetime) -> str:
    """Return the name of a month's partition."""
    return f"{PARENT}_{month:%Y_%m}"


def following(month: datetime) -> datetime:
    """Return the first day of the next month."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def create_statement(month: datetime) -> str:
    """Return the SQL that creates a month's partition and its TRUNCATE trigger. PostgreSQL clones only row triggers to partitions."""
    partition = name(month)
    return (
        f"CREATE TABLE IF NOT EXISTS {partition} PARTITION OF {PARENT} "
        f"FOR VALUES FROM ('{month:%Y-%m-01 00:00:00+00}') TO ('{following(month):%Y-%m-01 00:00:00+00}');"
        f"CREATE OR REPLACE TRIGGER usage_events_no_truncate BEFORE TRUNCATE ON {partition} "
        "FOR EACH STATEMENT EXECUTE FUNCTION usage_events_refuse_change();"
        f"ALTER TABLE {partition} ENABLE ALWAYS TRIGGER usage_events_no_truncate"
    )


def ahead(present: datetime) -> list[datetime]:
    """Return the months that must have a partition: the current one and the next `MONTHS_AHEAD`."""
    month = datetime(present.year, present.month, 1, tzinfo=UTC)
    months = [month]
    for _ in range(MONTHS_AHEAD):
        months.append(following(months[-1]))
    return months


def existing() -> list[str]:
    """Return the names of all attached partitions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass ORDER BY 1", [PARENT])
        return [row[0] for row in cursor.fetchall()]


def create_ahead(present: datetime) -> list[str]:
    """Create missing partitions and return their names."""
    existing_names = set(existing())
    missing = [month for month in ahead(present) if name(month) not in existing_names]
    for month in missing:
        # Each partition is created in its own transaction with a short lock timeout, because all writers have to wait while this statement
        # waits for the lock of the parent table.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute(create_statement(month))
    return [name(month) for month in missing]


def expired(present: datetime) -> list[str]:
    """Return the partitions that ended longer ago than the retention period."""
    return [partition for partition in existing() if _is_expired(partition, present)]


def _is_expired(partition: str, present: datetime) -> bool:
    return following(_month(partition)) <= present - RETENTION


def _month(partition: str) -> datetime:
    year, month = partition.removeprefix(f"{PARENT}_").split("_")
    return datetime(int(year), int(month), 1, tzinfo=UTC)


def detach_expired(present: datetime) -> list[str]:
    """Detach expired partitions without blocking reads or writes, and return their names. Must not run inside a transaction.

    A detachment that an earlier run did not finish is completed first. Detached tables are not dropped; that is up to the operator.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass AND inhdetachpending", [PARENT])
        pending = [row[0] for row in cursor.fetchall()]
        for partition in pending:
            cursor.execute(f"ALTER TABLE {PARENT} DETACH PARTITION {partition} FINALIZE")
        expired_names = expired(present)
        for partition in expired_names:
            cursor.execute(f"ALTER TABLE {PARENT} DETACH PARTITION {partition} CONCURRENTLY")
    detached = [*pending, *expired_names]
    for partition in detached:
        log.info("usage.partition_detached", partition=partition)
    return detached


def purge_keys(present: datetime, *, batch: int = 10_000) -> int:
    """Delete idempotency keys past retention in batches of short transactions. Return the number deleted."""
    total = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "DELETE FROM usage_idempotency_keys WHERE (organization_id, digest) IN ("
                "SELECT organization_id, digest FROM usage_idempotency_keys WHERE recorded_at < %s LIMIT %s FOR UPDATE SKIP LOCKED)",
                [present - RETENTION, batch],
            )
            deleted = int(cursor.rowcount)
            total += deleted
            if deleted < batch:
                return total
