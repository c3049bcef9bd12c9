"""Run operations in the calling thread: on Django's connection, the shared Valkey client and this process's spool."""

from functools import cache
from typing import Any, TypeVar

import redis
from django.db import DatabaseError
from psycopg import errors as postgres

from contextmcp.common import valkey
from usage.errors import counters_locked
from usage.metrics import DECISIONS
from usage.spool import spool
from usage.store import executor

from .effects import (
    AppendToSpool,
    CacheUnreachable,
    CallDatabase,
    CountDecision,
    DatabaseUnreachable,
    Effect,
    EvalScript,
    ExecuteCommand,
    Operation,
    ReadBalances,
    ReadUnlocked,
)

T = TypeVar("T")


def drive(operation: Operation[T]) -> T:
    """Run an operation to its end. Return its result, or raise its exception.

    If the caller has opened a transaction, the changes of the operation are part of it.
    """
    try:
        effect = next(operation)
        while True:
            try:
                result = _perform(effect)
            except BaseException as error:
                effect = operation.throw(error)
            else:
                effect = operation.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value


def _perform(effect: Effect) -> Any:
    match effect:
        case EvalScript():
            return _eval_script(effect)
        case CountDecision():
            return DECISIONS.labels(effect.outcome).inc()
        case AppendToSpool():
            return spool.append(effect.command, effect.body)
    try:
        return _query(effect)
    except executor.UNREACHABLE_ERRORS as error:
        if is_lock_timeout(error):
            raise counters_locked() from error
        raise DatabaseUnreachable(str(error)) from error


def _query(effect: CallDatabase | ExecuteCommand | ReadUnlocked | ReadBalances) -> Any:
    match effect:
        case CallDatabase():
            return effect.function(*effect.arguments)
        case ExecuteCommand():
            return executor.execute([effect.command])[0]
        case ReadUnlocked():
            return executor.read_unlocked(effect.command)
        case ReadBalances():
            return executor.read_balances(effect.organization, effect.period_start)


def is_lock_timeout(error: BaseException) -> bool:
    """Return whether the error means that a statement waited too long for a lock. In this case, PostgreSQL is reachable."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    return isinstance(cause, postgres.LockNotAvailable)


def _eval_script(effect: EvalScript) -> Any:
    client = valkey.client()
    if client is None:
        raise CacheUnreachable("REDIS_URL is empty")
    try:
        return _registered(client, effect.script)(keys=effect.keys, args=effect.arguments)
    except valkey.Unavailable as error:
        raise CacheUnreachable(type(error).__name__) from error


@cache
def _registered(client: "redis.Redis", script: str) -> Any:
    return client.register_script(script)
