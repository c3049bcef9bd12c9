"""Run queries and transactions on Django's connection."""

from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
from django.db import InterfaceError, OperationalError, transaction
from psycopg import errors as postgres

from contextmcp.common.db import psycopg_cursor
from contextmcp.common.pg_binary import Encoded
from usage.decision.results import CommandResult
from usage.decision.rows import IdempotencyRecord, LockedRows, RowsToLock, rows_to_lock
from usage.types import AuthorizeCommand, Command

from . import codec, partitions
from .transaction import decide_and_write

# Another transaction inserted the idempotency key first, or there was a deadlock. A retry reads what the other transaction committed.
RETRYABLE_ERRORS = (postgres.UniqueViolation, postgres.DeadlockDetected, postgres.SerializationFailure)
MAX_ATTEMPTS = 6
# PostgreSQL is unreachable or does not respond in time.
UNREACHABLE_ERRORS = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)


def execute(commands: list[Command]) -> list[CommandResult]:
    """Decide the commands and write the result. Return one result per command, in order.

    When this returns, the changes are committed, or are part of the caller's transaction if there is one. Raises one of
    `UNREACHABLE_ERRORS` if PostgreSQL is unreachable.
    """
    for attempt in range(MAX_ATTEMPTS):
        try:
            with transaction.atomic():
                return _attempt(commands)
        except RETRYABLE_ERRORS:
            if attempt == MAX_ATTEMPTS - 1:
                raise
        except postgres.CheckViolation as error:
            if attempt or not is_missing_partition(error):
                raise
            partitions.create_ahead(datetime.now(UTC))
    raise AssertionError("unreachable")


def is_missing_partition(error: BaseException) -> bool:
    """Return whether a write failed because this month's partition of events does not exist yet."""
    return isinstance(error, postgres.CheckViolation) and "no partition of relation" in str(error)


def _attempt(commands: list[Command]) -> list[CommandResult]:
    steps = decide_and_write(commands)
    results: list[codec.Result] | None = None
    while True:
        try:
            round_trip = next(steps) if results is None else steps.send(results)
        except StopIteration as stop:
            outcome: list[CommandResult] = stop.value
            return outcome
        results = run(round_trip.queries)


def run(queries: Sequence[codec.Query]) -> list[codec.Result]:
    """Run the queries one by one and return their results."""
    raw_cursor = psycopg_cursor()
    results = []
    for name, values in queries:
        raw_cursor.execute(codec.STATEMENTS[name], [Encoded(value) for value in values], prepare=True, binary=True)
        results.append(raw_cursor.pgresult)
    return results


def find_idempotency_record(organization: bytes, digest: bytes) -> IdempotencyRecord | None:
    """Return the record of an idempotency key (the digest), or None if the key was not used."""
    key = organization + digest
    needed = RowsToLock(counters={}, gauges=[], keys=[key], holds=[])
    queries = codec.lock_queries(needed)
    return codec.decode_rows(needed, queries, run(queries)).keys.get(key)


def read_unlocked(command: AuthorizeCommand) -> LockedRows:
    """Read the rows that a command would change, without locking them."""
    needed = rows_to_lock([command])
    queries = codec.unlocked_queries(needed)
    return codec.decode_rows(needed, queries, run(queries))


def read_balances(organization: bytes, period_start: datetime) -> list[codec.Balance]:
    """Return an organization's balances in the period that starts at `period_start`."""
    (result,) = run([codec.balances_query([(organization, period_start)])])
    return codec.decode_balances(result, 1)[0]
