"""Who may touch what."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection

from contextmcp.common.errors import Conflict


def lock_customer(subject: str) -> datetime:
    """Until the transaction ends, nobody else writes this customer's part of the mirror. Take it before the fetch.

    Returns the moment it was got, by the database's clock: what Stripe told us before then, the fetch will know.

    Without it a worker that fetched and stalled would write its stale copy over a newer one. Hashed in SQL: Python's `hash` differs from
    process to process.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [subject])
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


class StillUnderWay(Conflict):
    message = "Another change of this organization's billing is under way. Try again in a moment."


@contextmanager
def one_at_a_time(organization_id: object, *, patience: float = 20.0) -> Iterator[None]:
    """Changes of one organization's billing follow one another, without a transaction, so that Stripe can be called in between.

    Raises `StillUnderWay` after `patience` seconds.
    """
    name = f"billing:{organization_id}"
    deadline = time.monotonic() + patience
    with connection.cursor() as cursor:
        while not _try(cursor, name):
            if time.monotonic() > deadline:
                raise StillUnderWay(retry_after=1)
            time.sleep(0.03)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 2))", [name])


def _try(cursor: object, name: str) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 2))", [name])  # type: ignore[attr-defined]
    return bool(cursor.fetchone()[0])  # type: ignore[attr-defined]
