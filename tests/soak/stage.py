"""The servers, a database and a Stripe for the runs that test the product from inside; nothing is left of them afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.test import override_settings

from accounts.principals import cache
from accounts.revocations import watcher
from billing.gateway import client as gateway
from contextmcp.local import databases
from contextmcp.local.stripe.running import running
from entitlements.cache import CACHE
from tests import world as servers
from tests.soak import share
from tests.support.stripe import SECRET_KEY, WEBHOOK_SECRET, Stripe
from tests.support.workers import Worker


@contextmanager
def database() -> Iterator[None]:
    """A migrated one of this run's own. Its name says whose it is, so that a killed run's is cleared away by the next."""
    url = os.environ["DATABASE_URL"]
    name = "_".join(filter(None, ["test", urlsplit(url).path.removeprefix("/"), os.environ.get(share.PLACE)]))
    environment = {"DJANGO_SETTINGS_MODULE": servers.SETTINGS}
    databases.drop(url, name)
    if os.environ.get("CONTEXTMCP_TEST_TEMPLATES") == "1":
        databases.create(url, name, databases.template(url, environment))
    else:
        databases.migrate({**environment, "DATABASE_URL": databases.create(url, name)})
    connection.close()
    connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = name
    try:
        yield
    finally:
        watcher.stop()
        connection.close()
        databases.drop(url, name)


@contextmanager
def stripe() -> Iterator[Stripe]:
    """The simulator, the product talking to it, and an empty product. Anything that its document forbids is an error."""
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
    """`start()` starts a worker process; all that live are stopped at the end."""
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
