"""Replay spooled calls. Each is counted once, because its idempotency key shows whether an earlier replay has counted it."""

import logging
from hashlib import blake2b
from pathlib import Path
from uuid import UUID

import psycopg
from django.db import DatabaseError, connection

from contextmcp.common.db import psycopg_cursor
from contextmcp.common.errors import DomainError
from usage.decision.results import Authorized
from usage.store import executor
from usage.types import SpooledAuthorization

from . import records
from .files import claim, delete, quarantine

log = logging.getLogger(__name__)
BATCH = 200


def database_is_reachable() -> bool:
    """Return whether PostgreSQL responds."""
    try:
        psycopg_cursor().execute("SELECT 1")
    except executor.UNREACHABLE_ERRORS:
        connection.close()
        return False
    return True


def replay_file(path: Path) -> int:
    """Count the calls of a file that is no longer being written, delete the file, and return the number of calls.

    Returns 0 and keeps the file if it is claimed by another process or PostgreSQL becomes unreachable. A damaged file is quarantined.
    """
    with claim(path) as lines:
        if lines is None:
            return 0
        calls = [call for call in map(records.decode, lines) if call is not None]
        # The call of an incomplete last line was never acknowledged. Other lines were complete when they were written, so if one of them is
        # incomplete, the file is damaged.
        complete = len(calls) == len(lines) or (len(calls) == len(lines) - 1 and records.decode(lines[-1]) is None)
        try:
            for start in range(0, len(calls), BATCH):
                complete &= _count(calls[start : start + BATCH])
        except executor.UNREACHABLE_ERRORS:
            connection.close()
            return 0
        if complete:
            delete(path)
        else:
            log.error("some calls of a spool file could not be counted, see %s", quarantine(path))
        if calls:
            log.warning("counted %d spooled calls", len(calls))
        return len(calls)


def _count(calls: list[SpooledAuthorization]) -> bool:
    """Count the calls in one transaction, or one by one if that fails. Return whether all were counted."""
    try:
        outcomes = executor.execute(list(calls))
    except executor.UNREACHABLE_ERRORS:
        raise
    except (DatabaseError, psycopg.Error) as error:
        if len(calls) == 1:
            log.error("a spooled call cannot be counted: %s", type(error).__name__, extra=_ids(calls[0]))
            return False
        return sum(_count([call]) for call in calls) == len(calls)
    for call, outcome in zip(calls, outcomes, strict=True):
        if isinstance(outcome, DomainError):
            _replay_under_derived_key(call)
    return True


def _ids(call: SpooledAuthorization) -> dict[str, str]:
    """Return log fields that identify the call. `idempotency_digest` is the digest of its idempotency key."""
    return {
        "organization": str(call.subject.organization_id),
        "key": str(UUID(bytes=call.subject.key)),
        "idempotency_digest": call.digest.hex(),
    }


def _replay_under_derived_key(call: SpooledAuthorization) -> None:
    """Count a call whose idempotency key has been used for another request in the meantime.

    The call was granted and acknowledged, so it must count. Its new key is derived from the old key and the fingerprint, so a repeated
    replay derives the same key.
    """
    call.digest = blake2b(call.digest + call.fingerprint, digest_size=16).digest()
    outcome = executor.execute([call])[0]
    assert not isinstance(outcome, DomainError) and isinstance(outcome, Authorized)
