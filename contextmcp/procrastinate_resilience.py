"""A worker that outlives Postgres' absence.

procrastinate's own ends when it cannot listen again at once, has no connection for 30 s, or loses one in the middle of a query.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, LiteralString

from django.conf import settings as django_settings
from procrastinate import App
from procrastinate.connector import Notify
from procrastinate.contrib.django.settings import settings
from procrastinate.contrib.django.utils import connector_params
from procrastinate.exceptions import ConnectorException
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.sql import queries
from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.errors import ForeignKeyViolation, RaiseException
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from contextmcp.common import exporter
from contextmcp.common.jobs import log_context
from contextmcp.startup import refuse_transaction_pooling

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0
# By itself a pool waits ever longer between two attempts; after so long it starts over.
MAX_OUTAGE_SECONDS = 5.0
RELEASE_UNSEEN: LiteralString = """
    UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL
    WHERE worker_id = %(worker_id)s AND status = 'doing' AND NOT id = ANY(%(seen)s::bigint[])
"""
# Another worker that started meanwhile took this one for dead.
REGISTER_AGAIN: LiteralString = """
    INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (%(worker_id)s) ON CONFLICT DO NOTHING
"""


class Pool(AsyncConnectionPool[AsyncConnection[Any]]):
    """Waits for a connection for as long as it takes: nothing was sent yet, so nothing is sent twice."""

    async def getconn(self, timeout: float | None = None) -> AsyncConnection[Any]:
        while True:
            try:
                return await super().getconn(timeout)
            except PoolTimeout:
                log.warning("the queue waits for a connection to Postgres")


class ResilientListener(PsycopgConnector):
    """Until it hears again, the worker looks for jobs by itself every few seconds, as it always does besides."""

    @classmethod
    def with_retries(cls, **connection: Any) -> "ResilientListener":
        return cls(pool_factory=Pool, timeout=MAX_OUTAGE_SECONDS, reconnect_timeout=MAX_OUTAGE_SECONDS, **connection)

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        # Jobs that this worker fetched and has not finished.
        self._jobs: set[int] = set()

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        await self._repeat(super().execute_query_async, query, arguments)
        if query in (queries["finish_job"], queries["retry_job"]):
            self._jobs.discard(arguments["job_id"])

    async def execute_query_one_async(self, query: LiteralString, **arguments: Any) -> dict[str, Any]:
        row: dict[str, Any] = await self._repeat(super().execute_query_one_async, query, arguments)
        if query == queries["fetch_job"] and row["id"] is not None:
            self._jobs.add(row["id"])
        return row

    async def execute_query_all_async(self, query: LiteralString, **arguments: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await self._repeat(super().execute_query_all_async, query, arguments)
        return rows

    async def _repeat(self, execute: Callable[..., Awaitable[Any]], query: LiteralString, arguments: dict[str, Any]) -> Any:
        """Execute the query until Postgres answers. Whether one whose connection was lost had an effect is not known."""
        lost = False
        while True:
            try:
                if lost and query == queries["fetch_job"]:
                    # It may have been given a job that it never saw, and that would be under way for as long as this worker lives.
                    await super().execute_query_async(RELEASE_UNSEEN, worker_id=arguments["worker_id"], seen=list(self._jobs))
                return await execute(query, **arguments)
            except ConnectorException as error:
                if lost and isinstance(error.__cause__, RaiseException) and query in (queries["finish_job"], queries["retry_job"]):
                    return None  # It had been done before the connection was lost.
                if isinstance(error.__cause__, ForeignKeyViolation) and query == queries["fetch_job"]:
                    await self._repeat(super().execute_query_async, REGISTER_AGAIN, {"worker_id": arguments["worker_id"]})
                    continue
                if not _is_away(error.__cause__):
                    raise
                lost = True
                log.warning("the queue lost its connection to Postgres: %s", getattr(error.__cause__, "sqlstate", None) or "no SQLSTATE")
                await asyncio.sleep(RETRY_SECONDS)

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        names = list(channels)
        while True:
            try:
                await super().listen_notify(on_notification, names)
            except ConnectorException as error:
                log.warning("the queue cannot be listened to: %s", type(error.__cause__).__name__)
                await asyncio.sleep(RETRY_SECONDS)


def _is_away(error: BaseException | None) -> bool:
    """Return whether a connection was lost or refused (classes 08 and 57P of SQLSTATE, 53300), rather than a query being wrong."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = error.sqlstate
    return state is None or state.startswith(("08", "57P")) or state == "53300"


def install(app: App) -> None:
    """Have workers use it, and put ids on the log lines of jobs (PROCRASTINATE_ON_APP_READY)."""
    app.worker_defaults["worker_middleware"] = [log_context]

    def worker_connector() -> ResilientListener:
        refuse_transaction_pooling()
        if port := django_settings.WORKER_METRICS_PORT:
            exporter.start(port)
        return ResilientListener.with_retries(kwargs=connector_params(settings.DATABASE_ALIAS))

    app.connector.get_worker_connector = worker_connector  # type: ignore[attr-defined]
