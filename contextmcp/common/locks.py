"""PostgreSQL advisory locks. No other module takes them, so that two purposes cannot share a lock by accident."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, unique

from django.db import connection

# Pause between two attempts to take a session lock. A waiting attempt inside Postgres would be ended by `lock_timeout`.
_RETRY_SECONDS = 0.03


@unique
class Namespace(IntEnum):
    """What a lock protects. The number is the seed with which Postgres hashes the key; each member is used in one module only."""

    CUSTOMER = 0
    IDEMPOTENCY_KEY = 1
    BILLING_CHANGE = 2
    FORM_SUBMISSION = 3
    METER = 4
    TRIAL_IDENTITY = 5
    INVITER = 6
    INVITATION_RECIPIENT = 7
    CATALOG = 8
    STAFF_ACTION = 9
    REVENUE = 10
    DATA_EXPORT = 11


def lock_in_transaction(namespace: Namespace, key: object, *, wait: bool = True) -> bool:
    """Take a lock that Postgres releases when the current transaction ends, and return whether it was taken.

    With `wait`, the call returns when the lock is free; if `lock_timeout` is set, it raises `OperationalError` after that time. Without
    `wait`, it returns False if another session has the lock. The key is hashed in SQL because Python's `hash` differs between processes.
    """
    function = "pg_advisory_xact_lock" if wait else "pg_try_advisory_xact_lock"
    return _call(function, namespace, key) is not False


@contextmanager
def session_lock(namespace: Namespace, key: object, *, timeout: float = 0) -> Iterator[bool]:
    """Hold a lock during the block without a transaction, and yield whether it was taken within `timeout` seconds.

    Use it for work that calls another service, because no transaction may stay open during such a call.
    """
    deadline = time.monotonic() + timeout
    while not (acquired := bool(_call("pg_try_advisory_lock", namespace, key))) and time.monotonic() <= deadline:
        time.sleep(_RETRY_SECONDS)
    try:
        yield acquired
    finally:
        if acquired:
            _call("pg_advisory_unlock", namespace, key)


def _call(function: str, namespace: Namespace, key: object) -> object:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, %s))", [str(key), int(namespace)])
        return cursor.fetchone()[0]
