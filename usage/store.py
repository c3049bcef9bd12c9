"""Deciding against Postgres, one transaction a batch, on Django's connection."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import InterfaceError, OperationalError, connection, transaction
from psycopg import errors as postgres

from . import partitions, statements
from .binary import Blobs, Texts, Times, Uuids
from .decide import Outcome, decide
from .rows import Counter, HoldRow, LevelRow, Needs, Seen, State, needs
from .tally import Tally
from .types import Ask, Job, Who

# A race for an idempotency key, or a deadlock: the other one has won by now, so deciding anew ends it.
RACES = (postgres.UniqueViolation, postgres.DeadlockDetected, postgres.SerializationFailure)
PATIENCE = 6
# Postgres is gone, or does not answer in time.
Unreachable = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)


def execute(jobs: list[Job]) -> list[Outcome]:
    """Decide and write; when this returns, what was granted is committed (or part of the caller's transaction)."""
    for attempt in range(PATIENCE):
        try:
            with transaction.atomic():
                return _once(jobs)
        except RACES:
            if attempt == PATIENCE - 1:
                raise
        except postgres.CheckViolation as error:
            if attempt or "no partition of relation" not in str(error):
                raise
            partitions.create_ahead(datetime.now(UTC))
    raise AssertionError("unreachable")


def _once(jobs: list[Job]) -> list[Outcome]:
    wanted = needs(jobs)
    run = cursor().execute
    state = read(run, wanted)
    tally = Tally()
    outcomes = decide(jobs, state, tally)
    if state.crowded and expire(run, state):
        state, tally = read(run, wanted), Tally()
        outcomes = decide(jobs, state, tally)
    write(run, tally)
    return outcomes


def cursor() -> "psycopg.Cursor[Any]":
    """psycopg's own: binary, and preparing its statements on the server, which Django's is not."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    made: psycopg.Cursor[Any] = psycopg.Cursor(connection.connection)
    return made


Run = Callable[..., "psycopg.Cursor[Any]"]


def read(run: Run, wanted: Needs) -> State:
    """Lock and read what is needed, making the rows that are not there yet."""
    state = State()
    if wanted.counters:
        _lock_counters(run, wanted, state)
        if len(state.counters) < len(wanted.counters):
            keys = [key for key in wanted.counters if key not in state.counters]
            ends = Times([wanted.counters[key] for key in keys])
            run(statements.MAKE_COUNTERS, [*counter_columns(keys), ends], prepare=True)
            _lock_counters(run, wanted, state)
    if wanted.levels:
        _lock_levels(run, wanted, state)
        if len(state.levels) < len(wanted.levels):
            run(statements.MAKE_LEVELS, level_columns(wanted), prepare=True)
            _lock_levels(run, wanted, state)
    if wanted.holds:
        rows = run(statements.LOCK_HOLDS, [Uuids([hold.bytes for hold in wanted.holds])], prepare=True, binary=True)
        for n, organization, _, _, _, amount, held_state, settled, key, member, created in rows:
            state.holds[wanted.holds[n - 1]] = HoldRow(Who.of(organization, key, member), amount, held_state, settled, created)
    if wanted.keys:
        for n, fingerprint, answer in run(statements.READ_KEYS, key_columns(wanted), prepare=True, binary=True):
            state.keys[wanted.keys[n - 1]] = Seen(fingerprint, answer)
    if wanted.live:
        state.live = {row[0].bytes for row in run(statements.READ_LIVE, [Uuids(wanted.live)], prepare=True, binary=True)}
    return state


def _lock_counters(run: Run, wanted: Needs, state: State) -> None:
    keys = list(wanted.counters)
    for n, *row in run(statements.LOCK_COUNTERS, counter_columns(keys), prepare=True, binary=True):
        state.counters[keys[n - 1]] = Counter(*row)


def _lock_levels(run: Run, wanted: Needs, state: State) -> None:
    for n, *row in run(statements.LOCK_LEVELS, level_columns(wanted), prepare=True, binary=True):
        state.levels[wanted.levels[n - 1]] = LevelRow(*row)


def counter_columns(keys: list[Any]) -> list[Any]:
    return [Uuids([key[0] for key in keys]), Texts([key[1] for key in keys]), Times([key[2] for key in keys])]


def level_columns(wanted: Needs) -> list[Any]:
    return [Uuids([key[0] for key in wanted.levels]), Texts([key[1] for key in wanted.levels])]


def key_columns(wanted: Needs) -> list[Any]:
    return [Uuids([key[:16] for key in wanted.keys]), Blobs([key[16:] for key in wanted.keys])]


def expire(run: Run, state: State) -> bool:
    """End the due holds of counters that refused; whether that gave anything back."""
    given = False
    for key in sorted(state.crowded):
        named = [UUID(bytes=key[0]), *key[1:]]
        given |= run(statements.EXPIRE_HOLDS, [*named, *named], prepare=True).rowcount > 0
    return given


def write(run: Run, tally: Tally) -> None:
    if tally.counts:
        run(statements.COUNT, tally.count_columns(), prepare=True)
    if tally.levels:
        run(statements.ADD_LEVELS, tally.level_columns(), prepare=True)
    if tally.holds:
        run(statements.MAKE_HOLDS, tally.hold_columns(), prepare=True)
    if tally.ended:
        run(statements.END_HOLDS, tally.ended_columns(), prepare=True)


def seen(organization: bytes, digest: bytes) -> Seen | None:
    """What was answered under an idempotency key, if anything was."""
    row = cursor().execute(statements.READ_KEYS, [Uuids([organization]), Blobs([digest])], prepare=True, binary=True).fetchone()
    return Seen(row[1], row[2]) if row else None


def peek(ask: Ask) -> State:
    """What stands where an ask would take from, without locking anything."""
    state, wanted = State(), needs([ask])
    run = cursor().execute
    keys = list(wanted.counters)
    if keys:
        for n, *row in run(statements.PEEK_COUNTERS, counter_columns(keys), prepare=True, binary=True):
            state.counters[keys[n - 1]] = Counter(*row)
    if wanted.levels:
        for n, *row in run(statements.PEEK_LEVELS, level_columns(wanted), prepare=True, binary=True):
            state.levels[wanted.levels[n - 1]] = LevelRow(*row)
    return state
