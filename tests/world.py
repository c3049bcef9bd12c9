"""The world the tests run in: servers, and names of their own in them. Loaded by `-p tests.world`, before Django reads its settings."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
from contextlib import ExitStack, suppress

import psutil
import psycopg
import pytest
from psycopg import sql

from contextmcp.local import databases
from contextmcp.local.services import default_home, running

_world = ExitStack()
SETTINGS = "contextmcp.settings.test"


class Databases:
    """Registered after pytest-django, so that this fixture stands in for its own of the same name."""

    @pytest.fixture(scope="session")
    @classmethod
    def django_db_modify_db_settings(cls, django_db_modify_db_settings_parallel_suffix: None) -> None:
        """Copy a migrated template instead of migrating. The first worker that wants a database makes it."""
        from django.db import connection

        if os.environ.get("CONTEXTMCP_TEST_TEMPLATES") == "1":
            # If migrating fails, it fails again where pytest-django says so properly.
            with suppress(databases.MigrationFailed):
                environment = {"DJANGO_SETTINGS_MODULE": SETTINGS}
                connection.settings_dict["TEST"]["TEMPLATE"] = databases.template(os.environ["DATABASE_URL"], environment)
                # Looking through all migrations only to find them done takes longer than many a test file.
                connection.settings_dict["TEST"]["MIGRATE"] = False


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Databases(), "contextmcp-databases")


def chromium() -> str | None:
    """The browser that the tests marked `browser` drive: the system's."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if chromium() is None and (left_out := [item for item in items if item.get_closest_marker("browser")]):
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if chromium() is None:
        terminalreporter.write_line("Left out: the browser tests, for there is no Chromium on this machine (.ci/run installs it).")


def pytest_unconfigure() -> None:
    _world.close()


def build() -> None:
    """Start the servers unless the environment names others, and point the settings at a database and key prefix of this run only."""
    services = _world.enter_context(running(default_home() / "test", keep=os.environ.get("CONTEXTMCP_KEEP_SERVICES") == "1"))
    run = f"run_{os.getpid()}_{secrets.token_hex(3)}"
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    os.environ["DATABASE_URL"] = databases.named(services.database_url, run)
    os.environ["REDIS_URL"] = services.redis_url
    os.environ["CONTEXTMCP_TEST_KEY_PREFIX"] = run
    # A server of the user's keeps nothing of ours, so no templates there.
    os.environ["CONTEXTMCP_TEST_TEMPLATES"] = "1" if services.postgres else "0"
    if services.postgres:
        drop_leftovers(services.postgres.url("postgres"))
    if services.valkey is None:
        _world.callback(databases.forget_keys, services.redis_url, run)


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
