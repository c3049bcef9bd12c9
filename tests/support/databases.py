"""The test database for whom Django's own connection is no use: other processes, other threads, other transactions."""

import os
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.db import connection


def connect(**options: Any) -> psycopg.Connection[Any]:
    """A connection beside Django's. Close it before the test ends."""
    return psycopg.connect(**connection.get_connection_params(), **options)


def environment() -> dict[str, str]:
    """For a process that shall work on this test's database and cache keys."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    return {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}
