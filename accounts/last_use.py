"""When a key was last used: noted in memory, written in batches, never backwards."""

import time
from typing import Any
from uuid import UUID

import psycopg

FLUSH_SECONDS = 5.0
# Locked in the order of their ids, so that two processes writing the same keys cannot deadlock.
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
        self._noted: dict[UUID, float] = {}

    def note(self, key_id: UUID, at: float | None = None) -> None:
        """The key was used now, or at that Unix time. Costs a dictionary entry."""
        self._noted[key_id] = time.time() if at is None else at

    def flush(self, connection: psycopg.Connection[Any]) -> None:
        """Write what was noted. If that fails, it stays noted."""
        noted, self._noted = self._noted, {}
        batch = dict(noted)
        if not batch:
            return
        try:
            connection.execute(self._write, [list(batch), list(batch.values())])
        except psycopg.Error:
            self._noted = batch | self._noted
            raise


last_use = LastUse()
service_last_use = LastUse("accounts_servicekey")
