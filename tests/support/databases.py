"""Access to the test database from other processes, threads and transactions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.db import connection


def connect(**options: Any) -> psycopg.Connection[Any]:
    """Return a second connection. Close it before the test ends."""
    return psycopg.connect(**connection.get_connection_params(), **options)


def environment() -> dict[str, str]:
    """Return the environment for a process that uses this test's database and cache keys."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    return {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}


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
