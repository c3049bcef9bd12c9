"""A cache of verified API keys and their principals in each process.

The gate calls `cache.get(raw)` on the event loop and, on `MISS`, `cache.load(raw)` in a thread. The web's authentication does the same and
also reads the rows.
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

from msgspec import Struct

from contextmcp.common.clock import now
from contextmcp.common.db import fetch_prepared
from contextmcp.common.errors import DomainError
from contextmcp.common.incidents import FLUSH_SECONDS as INCIDENT_SECONDS
from contextmcp.common.incidents import INCIDENTS, REVOKED_KEY, UNKNOWN_KEY
from contextmcp.common.middleware import client_address

from . import key_format
from .errors import InvalidKeyFormat, KeyExpired, KeyNotFound, KeyRevoked, PermissionDenied, VerificationBusy
from .invalidation import Invalidation, watcher
from .key_verification import verifier
from .last_use import FLUSH_SECONDS, last_use
from .models import ApiKey
from .roles import PERMISSIONS, ROLE_SCOPES
from .types import Principal

__all__ = ["MISS", "Principal", "PrincipalCache", "cache"]


class CacheMiss(Enum):
    MISS = "not cached: call load"


MISS = CacheMiss.MISS
# Refusals are cached this long, so that a client that retries an invalid key does not cause a query each time.
REFUSAL_SECONDS = 30.0
# Maximum number of entries; the oldest is evicted. Refusals have a separate limit, so guessed keys cannot evict valid ones.
MAX_PRINCIPALS = 200_000
MAX_REFUSALS = 20_000
_NEVER = float("inf")
# Entries are keyed by a digest under a random secret of this process. It is faster than the stored HMAC and useless in a core dump.
# A copy of the keyed hash costs a third less than a new one.
_KEYED_HASH = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=16)


class KeyRowOrganization(Struct):
    pk: UUID
    created_at: datetime
    closed_at: datetime | None
    clock_offset: timedelta


class KeyRowUser(Struct):
    is_active: bool


class KeyRowCreator(Struct):
    pk: UUID
    user_id: int
    role: str
    user: KeyRowUser


class KeyRow(Struct):
    """The fields of an API key's row that authorization needs, with the names of the model."""

    pk: UUID
    bcrypt_hash: str
    hmac: bytes
    hmac_version: int
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    organization: KeyRowOrganization
    creator: KeyRowCreator | None


R = TypeVar("R", ApiKey, KeyRow)


class PrincipalCache:
    """Principals and refusals by digest of the key. Thread-safe. It does not contain keys."""

    # The kinds of invalidations that may concern a key.
    kinds = frozenset({"key", "member", "organization", "start", "fork"})
    last_use = last_use

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Discard all entries."""
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Principal, float]] = {}
        self._refused: dict[bytes, tuple[type[DomainError], str, dict[str, Any], float]] = {}
        self._by_organization: dict[UUID, set[bytes]] = {}
        self._changes = 0

    def get(self, raw: str, *, stale: bool = False) -> Principal | DomainError | CacheMiss:
        """Return the principal, the error to raise, or `MISS`. It does no I/O.

        If the invalidation log was not read for a second, it returns `MISS`, unless `stale` accepts cached entries of any age.
        """
        if len(raw) != key_format.LENGTH or not raw.isascii():
            return InvalidKeyFormat()
        if not (stale or watcher.is_fresh()):
            return MISS
        cached = self._cached(memory_digest(raw), time.time())
        if cached is MISS:
            try:
                key_format.parse(raw)
            except DomainError as refusal:
                return refusal
        return cached

    def get_by_digest(self, digest: bytes) -> Principal | None:
        """Return the principal of a verified key by its `memory_digest`, or None if `get` must be called. It does no I/O.

        As with `get`, the result is None for revoked and expired keys, and if the invalidation log was not read for a second.
        """
        if not watcher.is_fresh():
            return None
        known = self._known.get(digest)
        if known is None:
            return None
        principal, until = known
        present = time.time()
        if present >= until:
            return None
        self.last_use.record(principal.key_id, present)
        return principal

    def _cached(self, digest: bytes, present: float) -> Principal | DomainError | CacheMiss:
        known = self._known.get(digest)
        if known is not None:
            principal, until = known
            if present >= until:
                return self._expired(principal)
            self.last_use.record(principal.key_id, present)
            return principal
        refused = self._refused.get(digest)
        if refused is not None and present < refused[3]:
            kind, text, details, _ = refused
            return kind(text, **details)
        return MISS

    def _expired(self, principal: Principal) -> DomainError:
        return KeyExpired(expired_at=principal.expires_at)

    def load(self, raw: str) -> Principal:
        """Verify the key with the database and cache the result. Raises the refusal. Blocks for a query and, rarely, for bcrypt."""
        return self._load(raw, _find_key)[0]

    def load_row(self, raw: str) -> tuple[Principal, ApiKey]:
        """Do the same as `load` and also return the row with its organization, creator and user."""
        return self._load(raw, lambda public_id: _rows().filter(public_id=public_id).first())

    def _load(self, raw: str, find: Callable[[str], R | None]) -> tuple[Principal, R]:
        presented = key_format.parse(raw)
        watcher.start()
        # If an invalidation arrives after this line, the row may be outdated, and the result is not cached.
        changes = self._changes
        row = None
        try:
            row = find(presented.public_id)
            if row is None:
                raise KeyNotFound
            verifier.verify(raw, row)
            principal = authorize_key_row(row)
        except VerificationBusy:
            raise
        except KeyNotFound as refusal:
            INCIDENTS.record(UNKNOWN_KEY, client_address.get() or "")
            self._store_refusal(memory_digest(raw), refusal, changes)
            raise
        except KeyRevoked as refusal:
            assert row is not None
            INCIDENTS.record(REVOKED_KEY, str(row.pk))
            self._store_refusal(memory_digest(raw), refusal, changes)
            raise
        except DomainError as refusal:
            self._store_refusal(memory_digest(raw), refusal, changes)
            raise
        self._store(memory_digest(raw), principal, changes)
        last_use.record(principal.key_id)
        return principal, row

    def row(self, raw: str) -> tuple[Principal, ApiKey]:
        """Do the same as `load_row`, but skip the verification of a cached key. The row and its permissions are always read."""
        match self.get(raw):
            case KeyNotFound() as refusal:
                raise refusal
            case Principal() as principal:
                row = _rows().filter(pk=principal.key_id).first()
                if row is None:
                    raise KeyNotFound
                return authorize_key_row(row), row
        return self.load_row(raw)

    def on_invalidation(self, invalidation: Invalidation) -> None:
        """Discard the entries that the invalidation concerns."""
        if invalidation.kind not in self.kinds:
            return
        if invalidation.kind == "fork":
            self.reset()
            return
        with self._lock:
            self._changes += 1
            self._refused.clear()
            if invalidation.organization_id is None:
                self._known.clear()
                self._by_organization.clear()
                return
            for digest in self._by_organization.pop(invalidation.organization_id, ()):
                self._known.pop(digest, None)

    def _store(self, digest: bytes, principal: Principal, changes: int) -> None:
        until = _NEVER if principal.expires_at is None else (principal.expires_at - principal.clock_offset).timestamp()
        with self._lock:
            if changes != self._changes:
                return
            if len(self._known) >= MAX_PRINCIPALS:
                oldest = next(iter(self._known))
                organization_id = self._known.pop(oldest)[0].organization_id
                self._by_organization[organization_id].discard(oldest)
            self._known[digest] = (principal, until)
            self._by_organization.setdefault(principal.organization_id, set()).add(digest)

    def _store_refusal(self, digest: bytes, refusal: DomainError, changes: int) -> None:
        with self._lock:
            if changes != self._changes:
                return
            if len(self._refused) >= MAX_REFUSALS:
                del self._refused[next(iter(self._refused))]
            # The exception itself is not stored, because raising it repeatedly would accumulate tracebacks.
            self._refused[digest] = (type(refusal), refusal.text, refusal.details, time.time() + REFUSAL_SECONDS)


def memory_digest(raw: str) -> bytes:
    keyed = _KEYED_HASH.copy()
    keyed.update(raw.encode())
    return keyed.digest()


def _rows() -> Any:
    return ApiKey.objects.select_related("organization", "creator__user")


# Only the columns that `authorize_key_row` and the verifier use, as a prepared statement: a fifth of the cost of the ORM query.
_SELECT_KEY = """
SELECT key.id, key.bcrypt_hash, key.hmac, key.hmac_version, key.scopes, key.expires_at, key.revoked_at,
    organization.id, organization.created_at, organization.closed_at, organization.clock_offset,
    creator.id, creator.user_id, creator.role, person.is_active
FROM accounts_apikey AS key
JOIN accounts_organization AS organization ON organization.id = key.organization_id
LEFT JOIN accounts_membership AS creator ON creator.id = key.creator_id
LEFT JOIN accounts_user AS person ON person.id = creator.user_id
WHERE key.public_id = %s
"""


def _find_key(public_id: str) -> "KeyRow | None":
    rows = fetch_prepared(_SELECT_KEY, [public_id])
    if not rows:
        return None
    (row,) = rows
    creator = None if row[11] is None else KeyRowCreator(row[11], row[12], row[13], KeyRowUser(row[14]))
    values: tuple[Any, ...] = (*row[:7], KeyRowOrganization(*row[7:11]), creator)
    return KeyRow(*values)


def authorize_key_row(row: "ApiKey | KeyRow") -> Principal:
    """Return the principal of a verified key. Raises `KeyRevoked`, `KeyExpired` or `PermissionDenied`."""
    organization, creator = row.organization, row.creator
    if row.revoked_at is not None:
        raise KeyRevoked
    if organization.closed_at is not None:
        raise KeyRevoked("The organization of this API key was closed.")
    if row.expires_at is not None and now(organization) >= row.expires_at:
        raise KeyExpired(expired_at=row.expires_at)
    if creator is None:
        raise PermissionDenied(
            "The member who created this API key left the organization. The key is disabled until an admin takes it over."
        )
    if not creator.user.is_active:
        raise PermissionDenied("The account of the member who created this API key is inactive.")
    granted = frozenset(row.scopes)
    return Principal(
        key_id=row.pk,
        organization_id=organization.pk,
        user_id=creator.user_id,
        membership_id=creator.pk,
        role=creator.role,
        key_scopes=granted,
        scopes=granted & ROLE_SCOPES[creator.role],
        permissions=PERMISSIONS[creator.role],
        expires_at=row.expires_at,
        clock_offset=organization.clock_offset,
        organization_created_at=organization.created_at,
    )


cache = PrincipalCache()
watcher.subscribe(cache.on_invalidation)
watcher.periodic(FLUSH_SECONDS, last_use.flush)
watcher.periodic(INCIDENT_SECONDS, INCIDENTS.flush)
