"""Spooled calls are counted, each once: its idempotency key says whether it was counted before, however often a replay is begun."""

import logging
from hashlib import blake2b
from pathlib import Path

import psycopg
from django.db import DatabaseError, connection

from contextmcp.common.errors import DomainError
from usage import decide, store
from usage.types import Kept

from . import lines
from .files import adopted, forget, put_aside

log = logging.getLogger(__name__)
BATCH = 200


def possible() -> bool:
    """Whether Postgres answers."""
    try:
        store.cursor().execute("SELECT 1")
    except store.Unreachable:
        connection.close()
        return False
    return True


def one(path: Path) -> int:
    """Count a file that nobody writes any more, and delete it; how many calls it held. Postgres may go away again: then it stays."""
    with adopted(path) as found:
        if found is None:
            return 0
        calls = [call for call in map(lines.read, found) if call is not None]
        # The last line may be torn: nobody was told that it was kept. Elsewhere a torn line was whole once.
        whole = len(calls) == len(found) or (len(calls) == len(found) - 1 and lines.read(found[-1]) is None)
        try:
            for start in range(0, len(calls), BATCH):
                whole &= _count(calls[start : start + BATCH])
        except store.Unreachable:
            connection.close()
            return 0
        if whole:
            forget(path)
        else:
            log.error("a spooled file could not be counted whole: %s", put_aside(path))
        if calls:
            log.warning("counted %d spooled calls", len(calls))
        return len(calls)


def _count(calls: list[Kept]) -> bool:
    """Whether all of them could be."""
    try:
        outcomes = store.execute(list(calls))
    except store.Unreachable:
        raise
    except (DatabaseError, psycopg.Error) as error:
        if len(calls) == 1:
            log.error("a spooled call cannot be counted: %s", type(error).__name__)
            return False
        return sum(_count([call]) for call in calls) == len(calls)
    for call, outcome in zip(calls, outcomes, strict=True):
        if isinstance(outcome, DomainError):
            _count_beside(call)
    return True


def _count_beside(call: Kept) -> None:
    """Its key was used for something else meanwhile. It was granted and acknowledged, so it counts, under a key that follows from both."""
    call.digest = blake2b(call.digest + call.fingerprint, digest_size=16).digest()
    outcome = store.execute([call])[0]
    assert not isinstance(outcome, DomainError) and isinstance(outcome, decide.Granted)
