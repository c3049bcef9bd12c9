"""A worker that outlives a restart of Postgres: procrastinate's own gives up when it cannot listen again at once, and ends."""

import asyncio
import logging
from collections.abc import Iterable

from procrastinate import App
from procrastinate.connector import Notify
from procrastinate.contrib.django.settings import settings
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0


class Listener(PsycopgConnector):
    """Until it hears again, the worker looks for jobs by itself every few seconds, as it always does besides."""

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
    app.connector.get_worker_connector = lambda: Listener(kwargs=connector_params(settings.DATABASE_ALIAS))  # type: ignore[attr-defined]
