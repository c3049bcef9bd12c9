"""Records when keys were last used: collected in memory and written in batches. A later time is never overwritten by an earlier one."""

import time
from typing import Any
from uuid import UUID

import psycopg

FLUSH_SECONDS = 5.0
# Rows are locked in the order of their IDs, so that two processes that write the same keys cannot deadlock.
_WRITE = """
    WITH used AS (SELECT * FROM unnest(%s::uuid[], %s::double precision[]) AS used (id, seconds)),
    due AS (
        SELECT stored.id, to_timestamp(used.seconds) AS at
        FROM accounts_apikey AS stored JOIN used USING (id)
        WHERE stored.last_used_at IS NULL OR stored.last_used_at < to_timestamp(used.seconds)
        ORDER BY stored.id FOR NO KEY UPDATE OF stored
    )
    UPDATE accounts_apikey AS stored SET last_used_at = GREATEST(stored.last_used_at, due.at) FROM due WHERE stored.id = due.id
"""


class LastUse:
    def __init__(self, table: str = "accounts_apikey") -> None:
        self._write = _WRITE.replace("accounts_apikey", table)
        self._pending: dict[UUID, float] = {}

    def record(self, key_id: UUID, at: float | None = None) -> None:
        """Record that the key was used now, or at the Unix time `at`. Does no I/O."""
        self._pending[key_id] = time.time() if at is None else at

    def flush(self, connection: psycopg.Connection[Any]) -> None:
        """Write the recorded times. If that fails, they are kept for the next attempt."""
        pending, self._pending = self._pending, {}
        batch = dict(pending)
        if not batch:
            return
        try:
            connection.execute(self._write, [list(batch), list(batch.values())])
        except psycopg.Error:
            self._pending = batch | self._pending
            raise


last_use = LastUse()
service_last_use = LastUse("accounts_servicekey")
