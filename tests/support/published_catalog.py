"""The published catalog, which most tests with Stripe need. It is published once per process and copied for each further test."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from stripe_simulator.testing import Running

from billing.catalog import publish

# What publishing writes, in the order of the foreign keys.
TABLES = (
    "accounts_auditevent",
    "accounts_invalidationentry",
    "entitlements_planversion",
    "djstripe_product",
    "djstripe_price",
    "billing_planprice",
)


@dataclass(frozen=True)
class Copy:
    """The rows of `TABLES` as JSON, and the simulator's state."""

    rows: dict[str, str]
    stripe: bytes


class PublishedCatalog:
    def __init__(self, server: Running) -> None:
        self._server = server
        self._copy: Copy | None = None

    def publish(self) -> None:
        """Publish the catalog to an empty simulator, or restore what publishing wrote."""
        with connection.cursor() as cursor:
            # Rows that the test wrote before are not part of the copy, and may be in conflict with it.
            cursor.execute(" UNION ALL ".join(f"SELECT 1 WHERE EXISTS (SELECT FROM {table})" for table in TABLES))
            if cursor.fetchall():
                publish.publish_catalog()
            elif self._copy is None:
                publish.publish_catalog()
                self._copy = self._save()
            else:
                self._restore(self._copy)

    def _save(self) -> Copy:
        rows = {}
        with connection.cursor() as cursor:
            for table in TABLES:
                cursor.execute(f"SELECT json_agg(row)::text FROM {table} row")
                rows[table] = cursor.fetchone()[0]
        return Copy(rows, self._server.save())

    def _restore(self, copy: Copy) -> None:
        self._server.load(copy.stripe)
        with connection.cursor() as cursor:
            for table, rows in copy.rows.items():
                cursor.execute(f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, %s)", [rows])
