"""Inserts generated rows: columns that are not given get the default of their field."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import connection
from django.db.models import Field
from django.db.models.fields import NOT_PROVIDED

# `share`: a number in [0, 1). `pick`: an integer from 1 to `size`. Both depend on the row's number, a column's salt and the seed only.
# `uuid7` increases with time, like the IDs that the product generates (RFC 9562).
_FUNCTIONS = """
CREATE FUNCTION pg_temp.share(n bigint, salt bigint) RETURNS float8 IMMUTABLE LANGUAGE sql AS
    'SELECT (hashint8extended(n, {seed} * 1000 + salt) & 4503599627370495)::float8 / 4503599627370496';
CREATE FUNCTION pg_temp.pick(n bigint, salt bigint, size bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS
    'SELECT 1 + floor(pg_temp.share(n, salt) * size)::bigint';
CREATE FUNCTION pg_temp.hash(n bigint, salt bigint) RETURNS text IMMUTABLE LANGUAGE sql AS
    'SELECT md5(n || ''/'' || salt || ''/{seed}'')';
CREATE FUNCTION pg_temp.uuid7(at timestamptz, n bigint, salt bigint) RETURNS uuid STABLE LANGUAGE sql AS
    'SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, ''0'') || ''7'' || left(pg_temp.hash(n, salt), 3) || ''8''
             || right(pg_temp.hash(n, salt), 15))::uuid';
CREATE FUNCTION pg_temp.ago(days float8) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS
    'SELECT ''{present}''::timestamptz - days * interval ''1 day''';
"""
_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = ANY(%s::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


class Seeder:
    """Executes the statements in the current transaction. `scale` multiplies the numbers of rows."""

    def __init__(self, scale: float, seed: int, present: datetime, say: Callable[[str], None]) -> None:
        self.scale, self.seed, self.present, self.say = scale, seed, present, say
        self._dropped: list[str] = []

    def count(self, full: int) -> int:
        """Return the number of rows at this scale, at least 30: enough for one page to show whether queries grow with rows."""
        return max(30, round(full * self.scale))

    def prepare(self) -> None:
        """Create the functions. Suspend timeouts and, if the role may, the triggers that check foreign keys row by row."""
        # Postgres cannot drop or create indexes of a table with pending deferred checks.
        self.execute("SET CONSTRAINTS ALL IMMEDIATE")
        self.execute("SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '256MB'; SET LOCAL maintenance_work_mem = '512MB'")
        if self.value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
            self.execute("SET LOCAL session_replication_role = replica")
        self.execute(_FUNCTIONS.format(seed=self.seed, present=self.present.isoformat()))

    def execute(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    def value(self, statement: str) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            (row,) = cursor.fetchall()
            return row[0]

    def table(self, name: str, query: str, key: str = "n") -> None:
        """Create a temporary table that later statements join by `key`. It ends with the transaction."""
        self.execute(f"CREATE TEMP TABLE {name} ON COMMIT DROP AS {query}; CREATE UNIQUE INDEX ON {name} ({key}); ANALYZE {name}")

    def insert(self, label: str, rows: str, **columns: str) -> None:
        """Insert rows of a model. `rows` is a FROM clause and `columns` are SQL expressions."""
        model = apps.get_model(label)
        known = {field.column: field for field in model._meta.concrete_fields}
        assert columns.keys() <= known.keys(), columns.keys() - known.keys()
        defaults = {name: _default(field) for name, field in known.items() if name not in columns}
        values = columns | {name: value for name, value in defaults.items() if value}
        names = ", ".join(f'"{name}"' for name in values)
        self.execute(f"INSERT INTO {model._meta.db_table} ({names}) SELECT {', '.join(values.values())} FROM {rows} ON CONFLICT DO NOTHING")
        self.say(f"  {model._meta.verbose_name_plural}")

    def align_sequence(self, label: str) -> None:
        """Set the table's sequence to the highest ID that was inserted."""
        table = apps.get_model(label)._meta.db_table
        self.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")

    def drop_indexes(self, labels: Iterable[str]) -> None:
        """Drop the indexes that no constraint needs. Creating them afterwards is several times faster than maintaining them."""
        tables = [apps.get_model(label)._meta.db_table for label in labels]
        with connection.cursor() as cursor:
            cursor.execute(_INDEXES, [tables])
            indexes = cursor.fetchall()
        for name, definition in indexes:
            self.execute(f"DROP INDEX {name}")
            self._dropped.append(definition)

    def create_indexes(self) -> None:
        self.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for definition in self._dropped:
            self.execute(definition)
        self.say(f"  {len(self._dropped)} indexes")


def _default(field: "Field[Any, Any]") -> str:
    """Return the SQL of a field's default, or an empty string if the column may be omitted."""
    if field.null or field.get_internal_type().endswith("AutoField") or field.db_default is not NOT_PROVIDED:
        return ""
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return "pg_temp.ago(0)"
    if field.default is NOT_PROVIDED and not field.empty_strings_allowed:
        raise ValueError(f"{field} has no default.")
    return _literal(field.get_default(), field)


def _literal(value: Any, field: "Field[Any, Any]") -> str:
    match value:
        case bool() | int():
            return str(value)
        case datetime():
            return "pg_temp.ago(0)"
        case timedelta():
            return "interval '0'"
        case list() if field.get_internal_type() == "ArrayField":
            return "'{}'"
        case list() | dict():
            return "'[]'::jsonb" if value == [] else "'{}'::jsonb"
        case str() | UUID() if "'" not in str(value):
            return f"'{value}'"
    raise ValueError(f"The default of {field} has no SQL: {value!r}")
