"""Write and delete the rows of the record."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection as django_connection

# Minutes since 1970, organization, code, feature, key and tool.
Row = tuple[int, bytes, str, str, bytes, str]
# Maximum number of rows of one statement, which take about 0.1 s.
MAX_ROWS = 5_000
RETENTION = timedelta(days=35)
_ADD = """
    INSERT INTO usage_refusal_summaries (organization_id, minute, code, feature, key_id, tool, count)
    SELECT organization_id, to_timestamp(minute * 60), code, feature, key_id, tool, count
    FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::bigint[])
        AS counted (organization_id, minute, code, feature, key_id, tool, count)
    ON CONFLICT (organization_id, minute, code, feature, key_id, tool)
    DO UPDATE SET count = usage_refusal_summaries.count + EXCLUDED.count
"""


def add_counts(connection: psycopg.Connection[Any], counts: Sequence[tuple[Row, int]]) -> None:
    """Add the counts to their rows in one statement, in the given order. Raises `psycopg.Error`."""
    columns: list[list[Any]] = [
        [UUID(bytes=row[1]) for row, _ in counts],
        [row[0] for row, _ in counts],
        [row[2] for row, _ in counts],
        [row[3] for row, _ in counts],
        [UUID(bytes=row[4]) for row, _ in counts],
        [row[5] for row, _ in counts],
        [count for _, count in counts],
    ]
    connection.execute(_ADD, columns)


def purge(present: datetime, *, batch: int = 10_000) -> int:
    """Delete rows past retention in batches of short transactions. Return the number deleted."""
    total = 0
    with django_connection.cursor() as cursor:
        while True:
            cursor.execute(
                "DELETE FROM usage_refusal_summaries WHERE id IN ("
                "SELECT id FROM usage_refusal_summaries WHERE minute < %s ORDER BY minute, id LIMIT %s)",
                [present - RETENTION, batch],
            )
            deleted = int(cursor.rowcount)
            total += deleted
            if deleted < batch:
                return total
