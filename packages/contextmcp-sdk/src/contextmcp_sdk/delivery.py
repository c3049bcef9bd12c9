"""Deliver the records of a journal in the background."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence

from .errors import ContextMCPError
from .journal import Journal

log = logging.getLogger(__name__)
# Seconds from a new record to its delivery; between two checks for records of processes that have ended; and the maximum between attempts
# while the service is unavailable.
INTERVAL_SECONDS, IDLE_SECONDS, MAX_WAIT_SECONDS = 0.2, 30.0, 60.0
# A function that delivers the records of one segment. It returns the reasons of those that can never be delivered, by position, and raises
# an error if the delivery must be retried.
DeliverRecords = Callable[[Sequence[bytes]], "dict[int, str]"]


class Delivery:
    """Delivers a journal's segments, oldest first, in a thread of its own or on request."""

    def __init__(self, journal: Journal, deliver: DeliverRecords, *, interval: float = INTERVAL_SECONDS) -> None:
        self._journal, self._deliver, self._interval = journal, deliver, interval
        self._wake, self._closed = threading.Event(), threading.Event()
        self._one_at_a_time = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="contextmcp-delivery", daemon=True)
            self._thread.start()

    def notify(self) -> None:
        """Wake the delivery thread."""
        self._wake.set()

    def flush(self) -> int:
        """Deliver all records that exist now, and return their number.

        Raises:
            ContextMCPError: the service is unavailable or refuses the credential. The rest stays in the journal.
        """
        count = 0
        with self._one_at_a_time, self._journal.segments() as segments:
            for segment in segments:
                rejected = self._deliver(segment.lines) if segment.lines else {}
                for position, reason in rejected.items():
                    log.error("a record was rejected: %s", reason)
                    self._journal.reject(segment.lines[position], reason)
                segment.remove()
                count += len(segment.lines)
        return count

    def close(self, timeout: float | None = 5.0) -> None:
        """Try to deliver once more, for at most `timeout` seconds, and end. The rest stays on disk for the next process."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self._journal.close()

    def _run(self) -> None:
        failures = 0
        while True:
            is_last = self._closed.is_set()
            try:
                self.flush()
                failures = 0
            except (ContextMCPError, OSError) as error:
                failures += 1
                log.warning("usage is kept on disk and sent later: %s", error)
            except Exception:
                failures += 1
                log.exception("usage is kept on disk and sent later")
            if is_last:
                return
            if failures:
                # New records do not shorten the time until the next attempt.
                longest = min(MAX_WAIT_SECONDS, max(1.0, self._interval) * 2 ** min(failures, 10))
                self._closed.wait(random.uniform(self._interval, longest))  # noqa: S311 - no secret
            elif self._wake.wait(IDLE_SECONDS):
                # Records that follow soon are sent together.
                self._closed.wait(self._interval)
            self._wake.clear()
