"""Verify presented keys and hash new ones.

A key is verified with the HMAC if the server secret of its version is configured, and otherwise with bcrypt in a small thread pool.
"""

import os
import sys
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Protocol

from django.conf import settings

from . import key_format
from .errors import KeyNotFound, VerificationBusy
from .models import ApiKey, ServiceKey

# bcrypt takes 0.3 s of a core. At most half of the cores run it, so that keys verified by HMAC keep the others.
THREADS = max(1, (os.cpu_count() or 1) // 2)
# Each waiting request occupies a thread of its server. Guessed keys must not occupy all of them.
MAX_WAITING = 8
# Maximum number of new keys that are being hashed or are waiting to be hashed. Each occupies a thread of the web server.
HASHING = THREADS + 3
WAIT_SECONDS = 10.0
# Increment of the nice value: about a tenth of the CPU share under contention.
NICE_INCREMENT = 10


class Row(Protocol):
    """The fields of a key's row that verification needs."""

    pk: Any
    bcrypt_hash: str
    hmac: Any
    hmac_version: int


class Verifier:
    """Runs bcrypt in a small thread pool, and only once for concurrent requests with the same key."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, "bcrypt", initializer=_lower_thread_priority)
        self._in_progress: dict[bytes, Future[bool]] = {}
        self._hashing = threading.BoundedSemaphore(HASHING)

    def hash_key(self, raw: str) -> key_format.StoredKeyHashes:
        """Return the hashes to store for a new key. Raise `VerificationBusy` if the server is overloaded.

        Do not call it in a transaction that holds locks: it takes about 0.3 s, and up to WAIT_SECONDS under load.
        """
        if not self._hashing.acquire(blocking=False):
            raise VerificationBusy(retry_after=1)
        try:
            hashed = self._threads.submit(key_format.hash_key, raw)
            try:
                return hashed.result(WAIT_SECONDS)
            except (TimeoutError, CancelledError):
                hashed.cancel()
                raise VerificationBusy(retry_after=1) from None
        finally:
            self._hashing.release()

    def verify(self, raw: str, row: Row) -> None:
        """Raise `KeyNotFound` if `raw` is not this row's key, and `VerificationBusy` if the server is overloaded."""
        if row.hmac_version in settings.API_KEY_SECRETS:
            # A guessed key fails here without bcrypt, if the secret of the row's version is configured.
            if not key_format.verify_hmac(raw, bytes(row.hmac), row.hmac_version):
                raise KeyNotFound
            if row.hmac_version != key_format.newest_version():
                _rehash(row, key_format.digest(raw))
        elif not self._verify_once(raw, row):
            raise KeyNotFound

    def _verify_once(self, raw: str, row: Row) -> bool:
        """Verify the key with bcrypt, or wait for the result of a concurrent request with the same key."""
        digest = key_format.digest(raw)
        with self._lock:
            future = self._in_progress.get(digest)
            is_leader = future is None
            if future is None:
                if len(self._in_progress) >= THREADS + MAX_WAITING:
                    raise VerificationBusy(retry_after=1)
                future = self._in_progress[digest] = Future()
        if not is_leader:
            try:
                return future.result(WAIT_SECONDS)
            except (TimeoutError, CancelledError):
                raise VerificationBusy(retry_after=1) from None
        try:
            matches = self._verify_bcrypt(raw, row, digest)
            future.set_result(matches)
            return matches
        finally:
            future.cancel()
            with self._lock:
                del self._in_progress[digest]

    def _verify_bcrypt(self, raw: str, row: Row, digest: bytes) -> bool:
        # The row may have been read before an earlier request with this key stored its HMAC.
        current = _model(row).objects.filter(pk=row.pk, hmac_version__in=settings.API_KEY_SECRETS).first()
        if current is not None:
            return key_format.verify_hmac(raw, bytes(current.hmac), current.hmac_version)
        future = self._threads.submit(key_format.verify_bcrypt, raw, row.bcrypt_hash)
        try:
            matches = future.result(WAIT_SECONDS)
        except (TimeoutError, CancelledError):
            # This cancels the check if it has not started yet.
            future.cancel()
            raise VerificationBusy(retry_after=1) from None
        if matches:
            _rehash(row, digest)
        return matches


def _model(row: Row) -> type[ApiKey] | type[ServiceKey]:
    return ServiceKey if isinstance(row, ServiceKey) else ApiKey


def _lower_thread_priority() -> None:
    """Lower this thread's priority, so that bcrypt for guessed keys cannot starve requests with known keys (Linux: per thread)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE_INCREMENT))


def _rehash(row: Row, digest: bytes) -> None:
    """Store the key's HMAC under the newest secret.

    The version of a row only increases. Otherwise, a process that still has the previous configuration during a rolling restart would
    decrease it again.
    """
    newest = key_format.newest_version()
    if newest > row.hmac_version:
        _model(row).objects.filter(pk=row.pk, hmac_version=row.hmac_version).update(hmac=digest, hmac_version=newest)


verifier = Verifier()
os.register_at_fork(after_in_child=verifier.reset)
