"""Servers, a database and a simulator for runs that test the product in this process. They leave nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.test import override_settings
from stripe_simulator.testing import running

from accounts.invalidation import watcher
from accounts.principal_cache import cache
from billing.stripe.gateway import client as gateway
from contextmcp.devstack import databases
from entitlements.cache import CACHE
from tests import plugin_services as servers
from tests.soak import worker_process
from tests.support.databases import allow_flush
from tests.support.stripe import SECRET_KEY, WEBHOOK_SECRET, Stripe
from tests.support.workers import Worker


@contextmanager
def database() -> Iterator[None]:
    """Create a migrated database for this run. The name contains the process ID, so that a later run can drop that of a killed run.

    Its append-only tables can be truncated, as in tests, because several histories are played in it.
    """
    url = os.environ["DATABASE_URL"]
    name = "_".join(filter(None, ["test", urlsplit(url).path.removeprefix("/"), os.environ.get(worker_process.PLACE)]))
    environment = {"DJANGO_SETTINGS_MODULE": servers.SETTINGS}
    databases.drop(url, name)
    if servers.has_templates():
        databases.create(url, name, databases.template(url, environment))
    else:
        databases.migrate({**environment, "DATABASE_URL": databases.create(url, name)})
    connection.close()
    connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = name
    allow_flush()
    try:
        yield
    finally:
        watcher.stop()
        connection.close()
        databases.drop(url, name)


@contextmanager
def stripe() -> Iterator[Stripe]:
    """Start the simulator and an empty product that talks to it. Anything that Stripe's document forbids is an error."""
    cache.reset()
    CACHE.reset()
    with (
        database(),
        running(secret_key=SECRET_KEY) as server,
        override_settings(STRIPE_SECRET_KEY=SECRET_KEY, STRIPE_API_BASE=server.base_url, STRIPE_WEBHOOK_SECRETS=[WEBHOOK_SECRET]),
    ):
        gateway.configure()
        yield Stripe(server)


@contextmanager
def workers(world: Stripe, logs: Path) -> Iterator[Callable[[], Worker]]:
    """Yield a function that starts a worker process. All workers are stopped at the end."""
    logs.mkdir(parents=True, exist_ok=True)
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(world.server, log=logs / f"worker-{len(started)}.log"))
        return started[-1]

    try:
        yield start
    finally:
        for worker in started:
            worker.stop()
