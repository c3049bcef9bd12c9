"""A cache of verified API keys and their principals in each process.

The gate calls `cache.get(raw)` on the event loop and, on `MISS`, `cache.load(raw)` in a thread. The web's authentication does the same and
also reads the rows.
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from contextmcp.common.errors import DomainError
from contextmcp.common.incidents import FLUSH_SECONDS as INCIDENT_SECONDS
from contextmcp.common.incidents import INCIDENTS, REVOKED_KEY, UNKNOWN_KEY
from contextmcp.common.middleware import client_address

from . import key_format
from .errors import InvalidKeyFormat, KeyExpired, KeyNotFound, KeyRevoked, VerificationBusy
from .invalidation import Invalidation, watcher
from .key_authorization import KeyRow, api_keys_with_owner, authorize_key_row, find_key_row
from .key_verification import verifier
from .last_use import FLUSH_SECONDS, last_use
from .models import ApiKey
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
# Entries are keyed by a digest under a random secret of this process. It is faster to compute than the stored HMAC, and a digest in a core
# dump cannot be used to authenticate. Copying this keyed hash takes a third less time than creating a new one.
_KEYED_HASH = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=16)


R = TypeVar("R", ApiKey, KeyRow)


class PrincipalCache:
    """Caches principals and refusals by the digest of the key. Thread-safe. It does not contain keys."""

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

        If the last successful poll of the invalidation log is more than a second old, return `MISS`, unless `stale` is true: then cached
        entries of any age are accepted.
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

        Return None also for revoked and expired keys, and if the last successful poll of the invalidation log is more than a second old.
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
        return self._load(raw, find_key_row)[0]

    def load_row(self, raw: str) -> tuple[Principal, ApiKey]:
        """Do the same as `load` and also return the row with its organization, creator and user."""
        return self._load(raw, lambda public_id: api_keys_with_owner().filter(public_id=public_id).first())

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
                row = api_keys_with_owner().filter(pk=principal.key_id).first()
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


cache = PrincipalCache()
watcher.subscribe(cache.on_invalidation)
watcher.periodic(FLUSH_SECONDS, last_use.flush)
watcher.periodic(INCIDENT_SECONDS, INCIDENTS.flush)
