"""Statements by name, their parameters, and the decoding of their rows, for both executors.

A query is the name of a statement and its encoded parameters. A result is a `psycopg.pq.PGresult` of libpq in binary format, which a cursor
of psycopg has in its attribute `pgresult`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from contextmcp.common.pg_binary import Bytea, Ints, Texts, Times, Uuids, encode, from_pg_micros
from usage.decision.rows import Counter, GaugeRow, HoldRow, IdempotencyRecord, LockedRows, RowsToLock
from usage.decision.write_set import WriteSet
from usage.types import CounterKey, UsageSubject

from . import sql, write_columns

STATEMENTS = {
    b"lock_counters": sql.LOCK_COUNTERS,
    b"insert_counters": sql.INSERT_COUNTERS,
    b"lock_gauges": sql.LOCK_GAUGES,
    b"insert_gauges": sql.INSERT_GAUGES,
    b"lock_holds": sql.LOCK_HOLDS,
    b"select_idempotency_keys": sql.SELECT_IDEMPOTENCY_KEYS,
    b"select_active_keys": sql.SELECT_ACTIVE_KEYS,
    b"select_active_apps": sql.SELECT_ACTIVE_APPS,
    b"insert_events": sql.INSERT_EVENTS_AND_UPDATE_COUNTERS,
    b"insert_tool_events": sql.INSERT_TOOL_EVENTS,
    b"update_gauges": sql.UPDATE_GAUGES,
    b"insert_holds": sql.INSERT_HOLDS,
    b"update_ended_holds": sql.UPDATE_ENDED_HOLDS,
    b"update_expired_holds": sql.UPDATE_EXPIRED_HOLDS,
    b"insert_audit_events": sql.INSERT_AUDIT_EVENTS,
    b"select_counters": sql.SELECT_COUNTERS,
    b"select_gauges": sql.SELECT_GAUGES,
    b"select_balances": sql.SELECT_BALANCES,
}
Query = tuple[bytes, list[bytes]]
Result = Any
Row = list[bytes | None]
# A feature, its amount, the held amount or a marker (see `sql.SELECT_BALANCES`), and the credited amount.
Balance = tuple[str, int, int, int]


def query(name: bytes, *values: Any) -> Query:
    """Return a query with its parameters encoded."""
    return name, [encode(value) for value in values]


def rows(result: Result) -> list[Row]:
    """Return the undecoded rows of a result."""
    return [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]


def decode_int(raw: bytes | None) -> int:
    """Return a smallint, integer or bigint that is not NULL. A timestamp is also an integer: microseconds since 2000-01-01 UTC."""
    assert raw is not None
    return int.from_bytes(raw, "big", signed=True)


def lock_queries(needed: RowsToLock) -> list[Query]:
    """Return the queries that lock and read the needed rows, in the lock order of `sql`."""
    queries = []
    if needed.counters:
        queries.append(query(b"lock_counters", *_counter_columns(needed.counters)))
    if needed.gauges:
        queries.append(query(b"lock_gauges", *_gauge_columns(needed)))
    if needed.holds:
        queries.append(query(b"lock_holds", Uuids([hold.bytes for hold in needed.holds])))
    if needed.keys:
        queries.append(idempotency_query(needed.keys))
    if needed.active_keys:
        queries.append(query(b"select_active_keys", Uuids(needed.active_keys)))
    if needed.active_apps:
        queries.append(query(b"select_active_apps", Uuids(needed.active_apps)))
    return queries


def insert_queries(needed: RowsToLock, state: LockedRows) -> list[Query]:
    """Return the queries that insert the needed counters and gauges that `state` lacks."""
    queries = []
    missing = [key for key in needed.counters if key not in state.counters]
    if missing:
        queries.append(query(b"insert_counters", *_counter_columns(missing), Times([needed.counters[key] for key in missing])))
    if len(state.gauges) < len(needed.gauges):
        queries.append(query(b"insert_gauges", *_gauge_columns(needed)))
    return queries


def unlocked_queries(needed: RowsToLock) -> list[Query]:
    """Return the queries that read the needed counters and gauges without locks."""
    queries = []
    if needed.counters:
        queries.append(query(b"select_counters", *_counter_columns(needed.counters)))
    if needed.gauges:
        queries.append(query(b"select_gauges", *_gauge_columns(needed)))
    return queries


def expire_queries(state: LockedRows) -> list[Query]:
    """Return the queries that expire the due holds of the counters in `state.counters_with_holds`."""
    return [expire_query(key) for key in sorted(state.counters_with_holds)]


def expire_query(key: CounterKey) -> Query:
    """Return the query that expires the due holds of one locked counter."""
    return query(b"update_expired_holds", *key, *key)


def idempotency_query(keys: Sequence[bytes]) -> Query:
    """Return the query that reads idempotency keys, each an organization's 16 bytes followed by the digest."""
    return query(b"select_idempotency_keys", Uuids([key[:16] for key in keys]), Bytea([key[16:] for key in keys]))


def balances_query(periods: Sequence[tuple[bytes, datetime]]) -> Query:
    """Return the query that reads the balances of organizations in the periods that start at the given times."""
    return query(b"select_balances", Uuids([period[0] for period in periods]), Times([period[1] for period in periods]))


def write_queries(write_set: WriteSet) -> list[Query]:
    """Return the queries that write the changes of a batch, in the lock order of `sql`."""
    queries = []
    if write_set.seen or write_set.amounts or write_set.counters:
        queries.append(query(b"insert_events", *write_columns.event_columns(write_set)))
    if write_set.tool_events:
        queries.append(query(b"insert_tool_events", *write_columns.tool_event_columns(write_set.tool_events)))
    if write_set.gauges:
        gauges = sorted(write_set.gauges.items())
        queries.append(query(b"update_gauges", Ints([gauge for gauge, _ in gauges]), Ints([amount for _, amount in gauges])))
    if write_set.holds:
        queries.append(query(b"insert_holds", *write_columns.hold_columns(write_set)))
    if write_set.ended:
        ended = sorted(write_set.ended)
        columns = Uuids([hold for hold, _, _ in ended]), Texts([state for _, state, _ in ended]), Ints([amount for _, _, amount in ended])
        queries.append(query(b"update_ended_holds", *columns))
    if write_set.audits:
        queries.append(query(b"insert_audit_events", *write_columns.audit_columns(write_set)))
    return queries


def _counter_columns(keys: Sequence[CounterKey] | dict[CounterKey, datetime]) -> tuple[Uuids, Texts, Times]:
    return Uuids([key[0] for key in keys]), Texts([key[1] for key in keys]), Times([key[2] for key in keys])


def _gauge_columns(needed: RowsToLock) -> tuple[Uuids, Texts]:
    return Uuids([key[0] for key in needed.gauges]), Texts([key[1] for key in needed.gauges])


def decode_rows(needed: RowsToLock, queries: list[Query], results: Sequence[Result]) -> LockedRows:
    """Return the rows that `lock_queries` or `unlocked_queries` have read. Rows that do not exist are absent."""
    state = LockedRows()
    for (name, _), result in zip(queries, results, strict=True):
        _DECODERS[name](needed, state, rows(result))
    return state


def decode_balances(result: Result, count: int) -> list[list[Balance]]:
    """Return the balances of each of the `count` organizations that `balances_query` named."""
    balances: list[list[Balance]] = [[] for _ in range(count)]
    for n, feature, amount, held, credited in rows(result):
        balances[decode_int(n) - 1].append(((feature or b"").decode(), decode_int(amount), decode_int(held), decode_int(credited)))
    return balances


def _decode_counters(needed: RowsToLock, state: LockedRows, counter_rows: list[Row]) -> None:
    keys = list(needed.counters)
    for n, identifier, used, held, cap, currency, credited in counter_rows:
        counter = Counter(decode_int(identifier), decode_int(used), decode_int(held), credited=decode_int(credited))
        if cap is not None and currency is not None:
            counter.cap_minor, counter.currency = decode_int(cap), currency.decode()
        state.counters[keys[decode_int(n) - 1]] = counter


def _decode_gauges(needed: RowsToLock, state: LockedRows, gauge_rows: list[Row]) -> None:
    for n, identifier, value in gauge_rows:
        state.gauges[needed.gauges[decode_int(n) - 1]] = GaugeRow(decode_int(identifier), decode_int(value))


def _decode_idempotency_records(needed: RowsToLock, state: LockedRows, key_rows: list[Row]) -> None:
    for n, fingerprint, answer in key_rows:
        state.keys[needed.keys[decode_int(n) - 1]] = IdempotencyRecord(fingerprint or b"", None if answer is None else answer.decode())


def _decode_active_keys(needed: RowsToLock, state: LockedRows, key_rows: list[Row]) -> None:
    state.active_keys = {row[0] or b"" for row in key_rows}


def _decode_active_apps(needed: RowsToLock, state: LockedRows, app_rows: list[Row]) -> None:
    state.active_apps = {row[0] or b"" for row in app_rows}


def _decode_holds(needed: RowsToLock, state: LockedRows, hold_rows: list[Row]) -> None:
    for n, organization, amount, hold_state, settled, key, member, created in hold_rows:
        subject = UsageSubject(organization or b"", key or b"", decode_int(member))
        settled_amount = None if settled is None else decode_int(settled)
        created_at = from_pg_micros(decode_int(created))
        row = HoldRow(subject, decode_int(amount), (hold_state or b"").decode(), settled_amount, created_at)
        state.holds[needed.holds[decode_int(n) - 1]] = row


_DECODERS: dict[bytes, Callable[[RowsToLock, LockedRows, list[Row]], None]] = {
    b"lock_counters": _decode_counters,
    b"lock_gauges": _decode_gauges,
    b"lock_holds": _decode_holds,
    b"select_idempotency_keys": _decode_idempotency_records,
    b"select_active_keys": _decode_active_keys,
    b"select_active_apps": _decode_active_apps,
    b"select_counters": _decode_counters,
    b"select_gauges": _decode_gauges,
}
