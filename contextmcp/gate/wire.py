"""Between rows and values: the statements, what is asked of them for a batch, and what their binary results say."""

from collections.abc import Callable
from typing import Any

from usage import statements, store
from usage.binary import Uuids, dumped, moment
from usage.rows import Counter, HoldRow, LevelRow, Needs, Seen, State
from usage.tally import Tally
from usage.types import Who

from .postgres import Query, Result

STATEMENTS = {
    b"lock_counters": statements.LOCK_COUNTERS,
    b"make_counters": statements.MAKE_COUNTERS,
    b"lock_levels": statements.LOCK_LEVELS,
    b"make_levels": statements.MAKE_LEVELS,
    b"lock_holds": statements.LOCK_HOLDS,
    b"read_keys": statements.READ_KEYS,
    b"read_live": statements.READ_LIVE,
    b"count": statements.COUNT,
    b"add_levels": statements.ADD_LEVELS,
    b"make_holds": statements.MAKE_HOLDS,
    b"end_holds": statements.END_HOLDS,
    b"expire_holds": statements.EXPIRE_HOLDS,
    b"peek_counters": statements.PEEK_COUNTERS,
    b"peek_levels": statements.PEEK_LEVELS,
    b"standing": statements.STANDING,
}
SETTINGS = (
    "SET statement_timeout = '8s'",
    # Longer than any commit; what holds a row for so long is none of ours, and everybody waits for it.
    "SET lock_timeout = '2s'",
    "SET application_name = 'contextmcp gate'",
    "SET TimeZone = 'UTC'",
    # One plan for a hundred rows and for one: by the primary keys, whatever the tables' size. Planning anew costs more than it finds.
    "SET plan_cache_mode = 'force_generic_plan'",
    # A plan made while a table is small would read all of it, and be kept while it grows: minutes, until Postgres analyzes it.
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_material = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET jit = off",
)


def query(name: bytes, values: list[Any]) -> Query:
    return name, [dumped(value) for value in values]


def rows(result: Result) -> list[list[bytes | None]]:
    return [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]


def number(raw: bytes | None) -> int:
    assert raw is not None
    return int.from_bytes(raw, "big", signed=True)


def writes(tally: Tally) -> list[Query]:
    found = []
    if tally.counts:
        found.append(query(b"count", tally.count_columns()))
    if tally.levels:
        found.append(query(b"add_levels", tally.level_columns()))
    if tally.holds:
        found.append(query(b"make_holds", tally.hold_columns()))
    if tally.ended:
        found.append(query(b"end_holds", tally.ended_columns()))
    return found


def questions(wanted: Needs) -> list[Query]:
    asked = []
    if wanted.counters:
        asked.append(query(b"lock_counters", store.counter_columns(list(wanted.counters))))
    if wanted.levels:
        asked.append(query(b"lock_levels", store.level_columns(wanted)))
    if wanted.holds:
        asked.append(query(b"lock_holds", [Uuids([hold.bytes for hold in wanted.holds])]))
    if wanted.keys:
        asked.append(query(b"read_keys", store.key_columns(wanted)))
    if wanted.live:
        asked.append(query(b"read_live", [Uuids(wanted.live)]))
    return asked


def state_of(wanted: Needs, asked: list[Query], results: list[Result]) -> State:
    state = State()
    for (name, _), result in zip(asked, results, strict=True):
        _FILL[name](wanted, state, rows(result))
    return state


def _counters(wanted: Needs, state: State, found: list[list[bytes | None]]) -> None:
    keys = list(wanted.counters)
    for n, identifier, used, held, cap, currency in found:
        counter = Counter(number(identifier), number(used), number(held))
        if cap is not None and currency is not None:
            counter.cap_minor, counter.currency = number(cap), currency.decode()
        state.counters[keys[number(n) - 1]] = counter


def _levels(wanted: Needs, state: State, found: list[list[bytes | None]]) -> None:
    for n, identifier, value in found:
        state.levels[wanted.levels[number(n) - 1]] = LevelRow(number(identifier), number(value))


def _keys(wanted: Needs, state: State, found: list[list[bytes | None]]) -> None:
    for n, fingerprint, answer in found:
        state.keys[wanted.keys[number(n) - 1]] = Seen(fingerprint or b"", None if answer is None else answer.decode())


def _live(wanted: Needs, state: State, found: list[list[bytes | None]]) -> None:
    state.live = {row[0] or b"" for row in found}


def _holds(wanted: Needs, state: State, found: list[list[bytes | None]]) -> None:
    for n, organization, _, _, _, amount, held_state, settled, key, member, created in found:
        who = Who(organization or b"", key or b"", number(member))
        at = moment(number(created))
        row = HoldRow(who, number(amount), (held_state or b"").decode(), None if settled is None else number(settled), at)
        state.holds[wanted.holds[number(n) - 1]] = row


_FILL: dict[bytes, Callable[[Needs, State, list[list[bytes | None]]], None]] = {
    b"lock_counters": _counters,
    b"lock_levels": _levels,
    b"lock_holds": _holds,
    b"read_keys": _keys,
    b"read_live": _live,
    b"peek_counters": _counters,
    b"peek_levels": _levels,
}
