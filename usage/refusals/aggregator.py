"""Count refusals in memory, within fixed bounds, and write the counts periodically."""

import threading
import time
from typing import Any

import psycopg
from prometheus_client import Counter

from usage.types import KEYLESS

from . import store
from .store import Row

# Maximum number of rows with a feature, key or tool that one process adds for an organization in a minute. Further refusals are counted in
# one row per code.
MAX_DETAILED_ROWS_PER_MINUTE = 50
# Maximum number of these rows for all organizations, in one minute or waiting to be written. Further refusals are counted in one row per
# organization and code.
MAX_DETAILED_ROWS = 10_000
# Maximum number of rows that wait to be written, at about 350 bytes each. It can be reached only while Postgres is unavailable.
MAX_PENDING_ROWS = 20_000
# Time limit of one flush. The watcher's thread must also poll the invalidation log once a second (`accounts.invalidation.STALE_SECONDS`).
FLUSH_SECONDS = 0.4
DROPPED = Counter("usage_refusals_dropped_total", "Refusals that were not recorded, because Postgres was unavailable for too long")


class RefusalCounts:
    """Counts by row. Thread-safe. Only `flush` does I/O, and no other method waits for it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Discard everything."""
        # `_lock` protects the counts that are growing, `_writing` those that are being written.
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._counts: dict[Row, int] = {}
        self._unwritten: dict[Row, int] = {}
        # The detailed rows of the current minute, written or not, and their number by organization.
        self._minute = 0
        self._detailed: set[Row] = set()
        self._detailed_by_organization: dict[bytes, int] = {}

    def add(self, organization: bytes, code: str, feature: str, key: bytes, tool: str) -> None:
        """Count one refusal in the current minute. All texts must be from bounded sets; IDs are UUIDs as 16 bytes."""
        row = (int(time.time()) // 60, organization, code, feature, key, tool)
        with self._lock:
            if row in self._counts:
                self._counts[row] += 1
            elif (admitted := self._admit(row)) is not None:
                self._counts[admitted] = self._counts.get(admitted, 0) + 1
            else:
                DROPPED.inc()

    def _admit(self, row: Row) -> Row | None:
        """Return the row that counts this refusal: `row`, or the row without details. Return None if the limits allow neither."""
        minute, organization, code, *details = row
        if minute != self._minute:
            self._minute, self._detailed, self._detailed_by_organization = minute, set(), {}
        pending = len(self._counts) + len(self._unwritten)
        if details != ["", KEYLESS, ""] and pending < MAX_DETAILED_ROWS and self._is_detailed(row, organization):
            return row
        collapsed = (minute, organization, code, "", KEYLESS, "")
        return collapsed if collapsed in self._counts or pending < MAX_PENDING_ROWS else None

    def _is_detailed(self, row: Row, organization: bytes) -> bool:
        """Return whether this detailed row may be written in the current minute. A row that was allowed once stays allowed."""
        if row in self._detailed:
            return True
        number = self._detailed_by_organization.get(organization, 0)
        if number >= MAX_DETAILED_ROWS_PER_MINUTE or len(self._detailed) >= MAX_DETAILED_ROWS:
            return False
        self._detailed.add(row)
        self._detailed_by_organization[organization] = number + 1
        return True

    def flush(self, connection: psycopg.Connection[Any]) -> None:
        """Add the counts to the table. Counts that could not be written within FLUSH_SECONDS are kept for the next call.

        If the connection is lost while Postgres confirms a statement, its counts may be added twice.
        """
        with self._writing:
            with self._lock:
                counts, self._counts = self._counts, {}
            for row, count in counts.items():
                self._unwritten[row] = self._unwritten.get(row, 0) + count
            until = time.monotonic() + FLUSH_SECONDS
            # Rows are written in a fixed order, so that two processes that write the same rows cannot deadlock.
            rows = sorted(self._unwritten)
            for start in range(0, len(rows), store.MAX_ROWS):
                written = rows[start : start + store.MAX_ROWS]
                store.add_counts(connection, [(row, self._unwritten[row]) for row in written])
                for row in written:
                    del self._unwritten[row]
                if time.monotonic() > until:
                    break
