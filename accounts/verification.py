"""Whether a presented key is the one a row was made for: the HMAC answers, bcrypt decides where the HMAC's secret has been rotated."""

import os
import sys
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, Protocol

from django.conf import settings

from . import keys
from .errors import KeyNotFound, VerificationBusy
from .models import ApiKey

# bcrypt takes a third of a second of a core; half of the cores at most, so that keys that need none keep the rest.
THREADS = max(1, (os.cpu_count() or 1) // 2)
# Those who wait hold a thread of their server each. Guessed keys must not be able to take them all.
WAITING = 8
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

    def verify(self, raw: str, row: Row) -> None:
        """Raise `KeyNotFound` unless `raw` is this row's key, `VerificationBusy` if it would take too long to find out."""
        if row.hmac_version in settings.API_KEY_SECRETS:
            # A guess fails here, at no cost, under any secret still known.
            if not keys.hmac_agrees(raw, bytes(row.hmac), row.hmac_version):
                raise KeyNotFound
            if row.hmac_version == keys.newest_version():
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
                _remember(row, digest)
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


def _remember(row: Row, digest: bytes) -> None:
    """From now on the newest secret's HMAC answers for this key."""
    changed = ApiKey.objects.filter(pk=row.pk, hmac_version=row.hmac_version)
    changed.update(hmac=digest, hmac_version=keys.newest_version())


verifier = Verifier()
os.register_at_fork(after_in_child=verifier.reset)
