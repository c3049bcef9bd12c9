"""Counts of incidents by minute: unexpected errors, unknown keys, and revoked keys that are still used.

Recording costs no I/O. Each process keeps the counts in memory and writes them every few seconds, so that a flood of incidents does not
become a flood of writes. `incident_totals` reads them.
"""

import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import psycopg

SERVER_ERROR = "server_error"
UNKNOWN_KEY = "unknown_key"
REVOKED_KEY = "revoked_key"

FLUSH_SECONDS = 5.0
# Subjects of one kind and minute that a process counts separately. Further subjects are counted together as OTHERS.
MAX_SUBJECTS = 200
OTHERS = "others"
SUBJECT_LENGTH = 64
# Rows are written in a fixed order, so that two processes cannot deadlock.
_UPSERT = """
    INSERT INTO common_incidentcount (kind, subject, minute, count)
    SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::int[]) AS new (kind, subject, minute, count)
    ORDER BY kind, minute, subject
    ON CONFLICT (kind, minute, subject) DO UPDATE SET count = common_incidentcount.count + excluded.count
"""
_Key = tuple[str, int, str]


class Incidents:
    """The counts of this process that are not written yet. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[_Key] = Counter()
        self._subjects: Counter[tuple[str, int]] = Counter()

    def record(self, kind: str, subject: str = "") -> None:
        """Count one incident of `kind` now. `subject` is what it concerns and must not be a secret. Does no I/O."""
        minute = int(time.time()) // 60
        key = (kind, minute, subject[:SUBJECT_LENGTH].replace("\0", ""))
        with self._lock:
            if key not in self._counts:
                if self._subjects[kind, minute] >= MAX_SUBJECTS:
                    key = (kind, minute, OTHERS)
                else:
                    self._subjects[kind, minute] += 1
            self._counts[key] += 1

    def reset(self) -> None:
        """Drop all counts."""
        with self._lock:
            self._counts.clear()
            self._subjects.clear()

    def flush(self, connection: psycopg.Connection[Any]) -> None:
        """Write the counts. If that fails, they are kept for the next attempt."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            self._subjects.clear()
        if not counts:
            return
        kinds, minutes, subjects = zip(*counts, strict=True)
        times = [datetime.fromtimestamp(minute * 60, UTC) for minute in minutes]
        try:
            connection.execute(_UPSERT, [list(kinds), list(subjects), times, list(counts.values())])
        except psycopg.Error:
            with self._lock:
                self._counts.update(counts)
            raise


INCIDENTS = Incidents()
