"""Access to the test database from other processes, threads and transactions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction


def connect(**options: Any) -> psycopg.Connection[Any]:
    """Return a second connection. Close it before the test ends."""
    return psycopg.connect(**connection.get_connection_params(), **options)


def environment() -> dict[str, str]:
    """Return the environment for a process that uses this test's database and cache keys."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    return {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}


# What migrations and their signal create: content types, permissions and the groups of staff.
MIGRATED = ("django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions")


def is_superuser() -> bool:
    """Return whether the tests' role may disable triggers and foreign keys in its own session. On a server of the user's it may not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        return bool(cursor.fetchone()[0])


def delete_rows() -> None:
    """Delete the rows of a test that committed. It needs a superuser.

    Django's flush truncates all tables and creates the permissions again, which takes at least ten times as long.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        # A trigger that is always enabled ('A') refuses DELETE in this session too. TRUNCATE is allowed by `allow_flush`.
        cursor.execute(
            "SELECT quote_ident(relname), EXISTS (SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid AND tgenabled = 'A') FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND relname != ALL (%s)",
            [list(MIGRATED)],
        )
        tables = dict(cursor.fetchall())
        # Wait for transactions of killed processes, which may still commit.
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(" UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in tables))
        for (table,) in cursor.fetchall():
            cursor.execute(f"TRUNCATE {table}" if tables[table] else f"DELETE FROM {table}")


def flush() -> None:
    """Do the same on a server where the tests' role is no superuser."""
    call_command("flush", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        # Their models are not managed by Django, so its flush leaves them.
        for table in ("procrastinate_periodic_defers", "procrastinate_events", "procrastinate_jobs"):
            cursor.execute(f"DELETE FROM {table}")


def allow_flush() -> None:
    """Let Django truncate append-only tables between tests, as their owner. Updates and deletes stay forbidden."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE '%\\_no\\_truncate'")
        for table, trigger in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")


@contextmanager
def without_triggers(table: str) -> Iterator[None]:
    """Let a test write what the triggers of a table refuse."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
