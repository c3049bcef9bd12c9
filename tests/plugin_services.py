"""Servers for the tests that need them, with names that only this run uses. Loaded by `-p tests.plugin_services`.

Settings need the servers' addresses before any test is collected; the servers themselves start with the first test that uses the
database or requests the fixture `services`. A run of tests without servers (`--unit`) therefore starts none.
"""

from __future__ import annotations

import atexit
import os
import re
import secrets
import shutil
from contextlib import ExitStack, suppress
from functools import cache

import psutil
import psycopg
import pytest
from psycopg import sql

from contextmcp.devstack import databases
from contextmcp.devstack.services import Services, choose, default_home, running

SETTINGS = "contextmcp.settings.test"
# The variables of the servers that the tests start because the environment configures none. Workers of xdist inherit them.
OWN = "CONTEXTMCP_TEST_SERVERS"
# A test with one of these fixtures, or with the marker `django_db`, uses the servers.
FIXTURES = frozenset({"services", "world", "db", "transactional_db", "django_db_setup", "live_server"})
# Tests in these folders start their own servers or processes.
FOLDERS = ("tests/devstack/", "tests/journeys/", "packages/")

_started = ExitStack()
_refused = False


class ServicesRefused(Exception):
    """In a run with `--unit`, a test uses servers but has no fixture or marker that requires them."""


class Databases:
    """Registered after pytest-django, so that this fixture replaces its fixture of the same name."""

    @pytest.fixture(scope="session")
    @classmethod
    def django_db_modify_db_settings(cls, django_db_modify_db_settings_parallel_suffix: None, services: Services) -> None:
        """Copy a migrated template instead of migrating. The first worker that needs a database creates the template."""
        from django.db import connection

        if services.postgres:
            # If migrating fails here, it fails again in pytest-django, which reports the error properly.
            with suppress(databases.MigrationFailed):
                environment = {"DJANGO_SETTINGS_MODULE": SETTINGS}
                connection.settings_dict["TEST"]["TEMPLATE"] = databases.template(os.environ["DATABASE_URL"], environment)
                # Checking that all migrations are applied takes longer than many test files.
                connection.settings_dict["TEST"]["MIGRATE"] = False


@pytest.fixture(scope="session")
def services() -> Services:
    """Return Postgres and Valkey. They are started if they do not run."""
    return start()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--unit", action="store_true", help="run only the tests that need no servers and start no processes")


def pytest_configure(config: pytest.Config) -> None:
    global _refused  # noqa: PLW0603 - one pytest run per process
    _refused = config.getoption("unit")
    config.pluginmanager.register(Databases(), "contextmcp-databases")


def chromium() -> str | None:
    """Return the path of the system's browser, which the tests marked `browser` drive, or None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def is_unit(item: pytest.Item) -> bool:
    """Return whether the test needs no servers and starts no processes."""
    if item.nodeid.startswith(FOLDERS) or any(item.get_closest_marker(name) for name in ("django_db", "browser", "chaos")):
        return False
    return FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.get_closest_marker("browser")] if chromium() is None else []
    if config.getoption("unit"):
        left_out = [item for item in items if not is_unit(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if chromium() is None and not terminalreporter.config.getoption("unit"):
        terminalreporter.write_line("Browser tests were left out, because this machine has no Chromium (.ci/run installs it).")


def pytest_unconfigure() -> None:
    _started.close()


def name_run() -> None:
    """Set a database and a key prefix that only this run uses."""
    services = choose(default_home() / "test")
    run = f"run_{os.getpid()}_{secrets.token_hex(3)}"
    os.environ[OWN] = " ".join(name for name, server in (("DATABASE_URL", services.postgres), ("REDIS_URL", services.valkey)) if server)
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS
    os.environ["DATABASE_URL"] = databases.named(services.database_url, run)
    os.environ["REDIS_URL"] = services.redis_url
    os.environ["CONTEXTMCP_TEST_KEY_PREFIX"] = run
    # The servers that some tests start for themselves are not migrated again.
    os.environ[databases.DUMPS] = str(default_home() / "template-dumps")
    if services.valkey is None:
        _started.callback(databases.forget_keys, services.redis_url, run)


@cache
def start() -> Services:
    """Start the servers unless the environment configures others. They run until the last process that uses them ends.

    Raises:
        ServicesRefused: this is a run of tests that need no servers.
    """
    if _refused:
        raise ServicesRefused("This test uses servers. Mark it with `django_db`, or request the fixture `services`.")
    environment = {name: url for name, url in os.environ.items() if name not in os.environ[OWN].split()}
    keep = os.environ.get("CONTEXTMCP_KEEP_SERVICES") == "1"
    services = _started.enter_context(running(default_home() / "test", environment, keep=keep, durable=False))
    if services.postgres:
        drop_leftovers(services.postgres.url("postgres"))
    return services


def has_templates() -> bool:
    """Return whether databases are copied from a template. On a configured server no template may remain, so none is used."""
    return "DATABASE_URL" in os.environ[OWN].split()


def drop_leftovers(url: str) -> None:
    """Drop the databases of killed runs, whose process id no longer exists."""
    with psycopg.connect(url, autocommit=True) as connection:
        for (name,) in connection.execute(r"SELECT datname FROM pg_database WHERE datname LIKE 'test\_run\_%'").fetchall():
            pid = re.match(r"test_run_(\d+)_", name)
            if pid and not psutil.pid_exists(int(pid[1])):
                with suppress(psycopg.Error):  # Another run may drop it concurrently.
                    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


atexit.register(_started.close)
if OWN not in os.environ:
    name_run()
