"""Whether a presented key is the one a row was made for, and the fingerprints of a new key.

The HMAC answers under any server secret that is still configured. bcrypt answers where that secret is gone, in few threads.
"""

import os
import sys
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Protocol

from django.conf import settings

from . import keys
from .errors import KeyNotFound, VerificationBusy
from .models import ApiKey, ServiceKey

# bcrypt takes a third of a second of a core; half of the cores at most, so that keys that need none keep the rest.
THREADS = max(1, (os.cpu_count() or 1) // 2)
# Those who wait hold a thread of their server each. Guessed keys must not be able to take them all.
WAITING = 8
# New keys that wait for their bcrypt hash at a time, with those being hashed. Each holds a thread of the web server.
HASHING = THREADS + 3
WAIT_SECONDS = 10.0
# Of niceness: a tenth of a core's share while all others want it.
STEPS_BACK = 10


class Row(Protocol):
    """A key's row, or as much of it as matters here."""

    pk: Any
    bcrypt_hash: str
    hmac: Any
    hmac_version: int


class Verifier:
    """bcrypt in few threads, and once for any number of simultaneous requests with the same key."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(THREADS, "bcrypt", initializer=_step_back)
        self._flights: dict[bytes, Future[bool]] = {}
        self._hashing = threading.BoundedSemaphore(HASHING)

    def fingerprints(self, raw: str) -> keys.Fingerprints:
        """Return what to store of a new key. Raise `VerificationBusy` if it would take too long to compute.

        Call it outside a transaction that holds locks: it takes about a third of a second, and more under load.
        """
        if not self._hashing.acquire(blocking=False):
            raise VerificationBusy(retry_after=1)
        try:
            hashed = self._threads.submit(keys.fingerprints, raw)
            try:
                return hashed.result(WAIT_SECONDS)
            except (TimeoutError, CancelledError):
                hashed.cancel()
                raise VerificationBusy(retry_after=1) from None
        finally:
            self._hashing.release()

    def verify(self, raw: str, row: Row) -> None:
        """Raise `KeyNotFound` unless `raw` is this row's key, `VerificationBusy` if it would take too long to find out."""
        if row.hmac_version in settings.API_KEY_SECRETS:
            # A guess fails here, at no cost, under any secret still known.
            if not keys.hmac_agrees(raw, bytes(row.hmac), row.hmac_version):
                raise KeyNotFound
            if row.hmac_version != keys.newest_version():
                _move(row, keys.digest(raw))
            return
        if not self._ask_bcrypt(raw, row):
            raise KeyNotFound

    def _ask_bcrypt(self, raw: str, row: Row) -> bool:
        digest = keys.digest(raw)
        with self._lock:
            flight = self._flights.get(digest)
            leads = flight is None
            if flight is None:
                if len(self._flights) >= THREADS + WAITING:
                    raise VerificationBusy(retry_after=1)
                flight = self._flights[digest] = self._threads.submit(keys.bcrypt_agrees, raw, row.bcrypt_hash)
        try:
            agrees = flight.result(WAIT_SECONDS)
            if leads and agrees:
                _move(row, digest)
        except (TimeoutError, CancelledError):
            raise VerificationBusy(retry_after=1) from None
        finally:
            if leads:
                # What nobody began is not worth beginning any more.
                flight.cancel()
                with self._lock:
                    del self._flights[digest]
        return agrees


def _step_back() -> None:
    """Before whoever has a good key: guesses may only have what they leave. On Linux a thread has a priority of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, os.getpriority(os.PRIO_PROCESS, 0) + STEPS_BACK))


def _move(row: Row, digest: bytes) -> None:
    """From now on the newest secret's HMAC answers for this key.

    A row only moves to a higher version. During a rolling restart, a process that does not have the newest secret yet, or that still has
    an older one in front, would otherwise move it back.
    """
    newest = keys.newest_version()
    if newest > row.hmac_version:
        model = ServiceKey if isinstance(row, ServiceKey) else ApiKey
        model.objects.filter(pk=row.pk, hmac_version=row.hmac_version).update(hmac=digest, hmac_version=newest)


verifier = Verifier()
os.register_at_fork(after_in_child=verifier.reset)
