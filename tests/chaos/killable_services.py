"""A Postgres and a Valkey for one run, to be killed. The servers of the tests are shared with others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from django.db import connections
from django.test import override_settings

from accounts.invalidation import watcher
from accounts.principal_cache import cache
from contextmcp.common import valkey
from contextmcp.devstack import databases
from contextmcp.devstack.services import Services, default_home, running
from contextmcp.settings.addresses import database
from entitlements.cache import CACHE
from tests.plugin_services import SETTINGS

NAMES = ("DATABASE_URL", "REDIS_URL")


@contextmanager
def own() -> Iterator[Services]:
    """Start servers for this run only, with a migrated database, and let this process and its children use them."""
    stored = {name: os.environ[name] for name in NAMES}
    for name in NAMES:
        del os.environ[name]
    home = default_home() / f"killed-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    try:
        with running(home) as services:
            url = services.database_url
            name = f"test_run_{os.getpid()}_killed"
            databases.drop(url, name)
            os.environ["DATABASE_URL"] = databases.create(url, name, databases.template(url, {"DJANGO_SETTINGS_MODULE": SETTINGS}))
            os.environ["REDIS_URL"] = services.redis_url
            try:
                with _talking_to(os.environ["DATABASE_URL"], services.redis_url):
                    yield services
            finally:
                databases.drop(url, name)
    finally:
        os.environ.update(stored)


@contextmanager
def _talking_to(database_url: str, redis_url: str) -> Iterator[None]:
    known = connections["default"].settings_dict
    _forget()
    try:
        with patch.dict(known, database(database_url)), override_settings(REDIS_URL=redis_url):
            yield
            _forget()
    finally:
        _forget()


def _forget() -> None:
    watcher.stop()
    connections["default"].close()
    valkey.client.cache_clear()
    cache.reset()
    CACHE.reset()
