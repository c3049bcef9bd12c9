"""From a presented key to whom it speaks for, remembered per process. No Django request needed.

The gate's way: `cache.get(raw)` on the event loop; on `MISS`, `cache.load(raw)` in a thread. Ordinary authentication does the same, then
reads the rows.
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from django.db import connection
from msgspec import Struct

from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError

from . import keys
from .errors import InvalidKeyFormat, KeyExpired, KeyNotFound, KeyRevoked, PermissionDenied, VerificationBusy
from .last_use import FLUSH_SECONDS, last_use
from .models import ApiKey
from .revocations import Notice, watcher
from .roles import PERMISSIONS, ROLE_SCOPES
from .types import Principal
from .verification import verifier

__all__ = ["MISS", "Principal", "PrincipalCache", "cache"]


class Miss(Enum):
    MISS = "nothing remembered: load it"


MISS = Miss.MISS
# A refusal is remembered this long, so that a client that keeps trying a dead key costs no query each time.
REFUSAL_SECONDS = 30.0
# The most of each that is remembered; the oldest goes first. Refusals have a room of their own: guessed keys cannot push out good ones.
PRINCIPALS = 200_000
REFUSALS = 20_000
_NEVER = float("inf")
# Memory is searched by a digest under a secret of this process: quicker than the stored HMAC, and worthless in a core dump.
_MEMORY_SECRET = secrets.token_bytes(32)
# A change heard of under any of these kinds may concern a key.
KINDS = frozenset({"key", "member", "organization", "start", "fork"})


class FoundOrganization(Struct):
    pk: UUID
    created_at: datetime
    closed_at: datetime | None
    clock_offset: timedelta


class FoundUser(Struct):
    is_active: bool


class FoundCreator(Struct):
    pk: UUID
    user_id: int
    role: str
    user: FoundUser


class Found(Struct):
    """An API key's row, as far as it matters here; its names are the model's."""

    pk: UUID
    bcrypt_hash: str
    hmac: bytes
    hmac_version: int
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    organization: FoundOrganization
    creator: FoundCreator | None


R = TypeVar("R", ApiKey, Found)


class PrincipalCache:
    """What this process knows of keys. Thread-safe; keys themselves are not in it, only digests of them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Principal, float]] = {}
        self._refused: dict[bytes, tuple[type[DomainError], str, dict[str, Any], float]] = {}
        self._by_organization: dict[UUID, set[bytes]] = {}
        self._changes = 0

    def get(self, raw: str, *, stale: bool = False) -> Principal | DomainError | Miss:
        """The principal; or the refusal, to be raised; or `MISS`. Never waits, never asks.

        After a second without news from the database everything is a miss, unless `stale` accepts what was last known.
        """
        if len(raw) != keys.LENGTH or not raw.isascii():
            return InvalidKeyFormat()
        if not (stale or watcher.fresh()):
            return MISS
        remembered = self._remembered(memory_digest(raw), time.time())
        if remembered is MISS:
            try:
                keys.parse(raw)
            except DomainError as refusal:
                return refusal
        return remembered

    def _remembered(self, digest: bytes, present: float) -> Principal | DomainError | Miss:
        known = self._known.get(digest)
        if known is not None:
            principal, until = known
            if present >= until:
                return KeyExpired(expired_at=principal.expires_at)
            last_use.note(principal.key_id, present)
            return principal
        refused = self._refused.get(digest)
        if refused is not None and present < refused[3]:
            kind, text, details, _ = refused
            return kind(text, **details)
        return MISS

    def load(self, raw: str) -> Principal:
        """Ask the database, and remember. Raises the refusal. Blocks: for the database; after a rotation of the secret, once for bcrypt."""
        return self._load(raw, _found)[0]

    def load_row(self, raw: str) -> tuple[Principal, ApiKey]:
        """The same with the row: its organization, and its creator's membership and user, at hand."""
        return self._load(raw, lambda public_id: _rows().filter(public_id=public_id).first())

    def _load(self, raw: str, find: Callable[[str], R | None]) -> tuple[Principal, R]:
        presented = keys.parse(raw)
        watcher.start()
        # What is read from here on may be overtaken by a revocation. If one is heard of meanwhile, nothing is remembered.
        changes = self._changes
        try:
            row = find(presented.public_id)
            if row is None:
                raise KeyNotFound
            verifier.verify(raw, row)
            principal = admit(row)
        except VerificationBusy:
            raise
        except DomainError as refusal:
            self._refuse(memory_digest(raw), refusal, changes)
            raise
        self._remember(memory_digest(raw), principal, changes)
        last_use.note(principal.key_id)
        return principal, row

    def row(self, raw: str) -> tuple[Principal, ApiKey]:
        """As `load_row`, for who needs the row anyway: what was recognised before is not verified anew, but its rights are read afresh."""
        match self.get(raw):
            case KeyNotFound() as refusal:
                raise refusal
            case Principal() as principal:
                row = _rows().filter(pk=principal.key_id).first()
                if row is None:
                    raise KeyNotFound
                return admit(row), row
        return self.load_row(raw)

    def hear(self, notice: Notice) -> None:
        """Forget whom this news concerns."""
        if notice.kind not in KINDS:
            return
        if notice.kind == "fork":
            self.reset()
            return
        with self._lock:
            self._changes += 1
            self._refused.clear()
            if notice.organization_id is None:
                self._known.clear()
                self._by_organization.clear()
                return
            for digest in self._by_organization.pop(notice.organization_id, ()):
                self._known.pop(digest, None)

    def _remember(self, digest: bytes, principal: Principal, changes: int) -> None:
        until = _NEVER if principal.expires_at is None else (principal.expires_at - principal.clock_offset).timestamp()
        with self._lock:
            if changes != self._changes:
                return
            if len(self._known) >= PRINCIPALS:
                oldest = next(iter(self._known))
                organization_id = self._known.pop(oldest)[0].organization_id
                self._by_organization[organization_id].discard(oldest)
            self._known[digest] = (principal, until)
            self._by_organization.setdefault(principal.organization_id, set()).add(digest)

    def _refuse(self, digest: bytes, refusal: DomainError, changes: int) -> None:
        with self._lock:
            if changes != self._changes:
                return
            if len(self._refused) >= REFUSALS:
                del self._refused[next(iter(self._refused))]
            # Its parts, not itself: an exception raised over and over collects tracebacks.
            self._refused[digest] = (type(refusal), refusal.text, refusal.details, time.time() + REFUSAL_SECONDS)


def memory_digest(raw: str) -> bytes:
    return hashlib.blake2b(raw.encode(), key=_MEMORY_SECRET, digest_size=16).digest()


def _rows() -> Any:
    return ApiKey.objects.select_related("organization", "creator__user")


# Only what `admit` and the verifier look at, prepared on the server: a fifth of what the rows cost through the ORM.
_FIND = """
SELECT key.id, key.bcrypt_hash, key.hmac, key.hmac_version, key.scopes, key.expires_at, key.revoked_at,
    organization.id, organization.created_at, organization.closed_at, organization.clock_offset,
    creator.id, creator.user_id, creator.role, person.is_active
FROM accounts_apikey AS key
JOIN accounts_organization AS organization ON organization.id = key.organization_id
LEFT JOIN accounts_membership AS creator ON creator.id = key.creator_id
LEFT JOIN accounts_user AS person ON person.id = creator.user_id
WHERE key.public_id = %s
"""


def _found(public_id: str) -> "Found | None":
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor: psycopg.Cursor[Any] = psycopg.Cursor(connection.connection)
        row = cursor.execute(_FIND, [public_id], prepare=True).fetchone()
    if row is None:
        return None
    creator = None if row[11] is None else FoundCreator(row[11], row[12], row[13], FoundUser(row[14]))
    own: tuple[Any, ...] = (*row[:7], FoundOrganization(*row[7:11]), creator)
    return Found(*own)


def admit(row: "ApiKey | Found") -> Principal:
    """Whom a proven key speaks for at present. Raises `KeyRevoked`, `KeyExpired` or `PermissionDenied`."""
    organization, creator = row.organization, row.creator
    if row.revoked_at is not None:
        raise KeyRevoked
    if organization.closed_at is not None:
        raise KeyRevoked("The organization of this API key was closed.")
    if row.expires_at is not None and now(organization) >= row.expires_at:
        raise KeyExpired(expired_at=row.expires_at)
    if creator is None:
        raise PermissionDenied("The member who made this API key has left. It stops until an admin adopts it.")
    if not creator.user.is_active:
        raise PermissionDenied("The account of the member who made this API key is inactive.")
    granted = frozenset(row.scopes)
    return Principal(
        key_id=row.pk,
        organization_id=organization.pk,
        user_id=creator.user_id,
        membership_id=creator.pk,
        role=creator.role,
        granted=granted,
        scopes=granted & ROLE_SCOPES[creator.role],
        permissions=PERMISSIONS[creator.role],
        expires_at=row.expires_at,
        clock_offset=organization.clock_offset,
        organization_created_at=organization.created_at,
    )


cache = PrincipalCache()
watcher.subscribe(cache.hear)
watcher.chore(FLUSH_SECONDS, last_use.flush)
