"""A worker that outlives Postgres' absence: procrastinate's own ends when it cannot listen again at once, or has no connection for 30 s."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from procrastinate import App
from procrastinate.connector import Notify
from procrastinate.contrib.django.settings import settings
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0
# By itself a pool waits ever longer between two attempts; after so long it begins anew.
PATIENCE_SECONDS = 5.0


class Pool(AsyncConnectionPool[AsyncConnection[Any]]):
    """Waits for a connection for as long as it takes: nothing was sent yet, so nothing is sent twice."""

    async def getconn(self, timeout: float | None = None) -> AsyncConnection[Any]:
        while True:
            try:
                return await super().getconn(timeout)
            except PoolTimeout:
                log.warning("the queue waits for a connection to Postgres")


class Listener(PsycopgConnector):
    """Until it hears again, the worker looks for jobs by itself every few seconds, as it always does besides."""

    @classmethod
    def patient(cls, **connection: Any) -> "Listener":
        return cls(pool_factory=Pool, timeout=PATIENCE_SECONDS, reconnect_timeout=PATIENCE_SECONDS, **connection)

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        names = list(channels)
        while True:
            try:
                await super().listen_notify(on_notification, names)
            except ConnectorException as error:
                log.warning("the queue cannot be listened to: %s", type(error.__cause__).__name__)
                await asyncio.sleep(RETRY_SECONDS)


def install(app: App) -> None:
    """Have workers use it (PROCRASTINATE_ON_APP_READY)."""
    app.connector.get_worker_connector = lambda: Listener.patient(kwargs=connector_params(settings.DATABASE_ALIAS))  # type: ignore[attr-defined]
