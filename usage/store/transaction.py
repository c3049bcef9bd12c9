"""The transaction that decides and writes a batch of commands, without I/O. Both executors run its queries."""

from collections.abc import Generator

from msgspec import Struct

from usage.decision.decide import decide
from usage.decision.results import CommandResult
from usage.decision.rows import LockedRows, RowsToLock, rows_to_lock
from usage.decision.write_set import WriteSet
from usage.types import Command

from . import codec


class RoundTrip(Struct):
    """Queries that are sent together, in one round trip if the connection supports it. `last` marks the last ones before the commit."""

    queries: list[codec.Query]
    last: bool = False


Transaction = Generator[RoundTrip, list[codec.Result], list[CommandResult]]


def decide_and_write(commands: list[Command]) -> Transaction:
    """Yield the round trips of one transaction and return one result per command, in order.

    The executor begins the transaction before the first round trip and commits it with the one that is `last`.
    """
    needed = rows_to_lock(commands)
    state = yield from _lock_rows(needed)
    write_set = WriteSet()
    results = decide(commands, state, write_set)
    if state.counters_with_holds:
        expired = yield RoundTrip(codec.expire_queries(state))
        if any(result.command_tuples for result in expired):
            state, write_set = (yield from _lock_rows(needed)), WriteSet()
            results = decide(commands, state, write_set)
    yield RoundTrip(codec.write_queries(write_set), last=True)
    return results


def _lock_rows(needed: RowsToLock) -> Generator[RoundTrip, list[codec.Result], LockedRows]:
    """Lock and read the needed rows, and insert counters and gauges that do not exist yet."""
    queries = codec.lock_queries(needed)
    state = codec.decode_rows(needed, queries, (yield RoundTrip(queries)))
    inserts = codec.insert_queries(needed, state)
    if inserts:
        results = yield RoundTrip([*inserts, *queries])
        state = codec.decode_rows(needed, queries, results[len(inserts) :])
    return state
