"""The world the tests run in: servers, and names of their own in them. Loaded by `-p tests.world`, before Django reads its settings."""

from __future__ import annotations

import atexit
import os
import re
import secrets
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import psutil
import psycopg
from psycopg import sql

from contextmcp.local.services import default_home, running

_world = ExitStack()


def pytest_unconfigure() -> None:
    _world.close()


def build() -> None:
    """Start the servers unless the environment names others, and point the settings at a database and key prefix of this run only."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "contextmcp.settings.test"
    services = _world.enter_context(running(default_home() / "test", keep=os.environ.get("CONTEXTMCP_KEEP_SERVICES") == "1"))
    if services.postgres:
        drop_leftovers(services.postgres.url("postgres"))
    run = f"run_{os.getpid()}_{secrets.token_hex(3)}"
    os.environ["DATABASE_URL"] = urlsplit(services.database_url)._replace(path=f"/{run}").geturl()
    os.environ["REDIS_URL"] = services.redis_url
    os.environ["CONTEXTMCP_TEST_KEY_PREFIX"] = run


def drop_leftovers(url: str) -> None:
    """Runs that were killed leave their databases behind; their pid tells that they are over."""
    with psycopg.connect(url, autocommit=True) as connection:
        for (name,) in connection.execute(r"SELECT datname FROM pg_database WHERE datname LIKE 'test\_run\_%'").fetchall():
            pid = re.match(r"test_run_(\d+)_", name)
            if pid and not psutil.pid_exists(int(pid[1])):
                with suppress(psycopg.Error):  # Another run may be at it too.
                    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


# xdist's workers inherit the environment of the process that starts them.
if "PYTEST_XDIST_WORKER" not in os.environ:
    atexit.register(_world.close)
    build()
