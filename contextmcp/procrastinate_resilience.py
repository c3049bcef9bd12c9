"""A procrastinate connector with which a worker survives an outage of Postgres.

With procrastinate's own connector the worker ends if it cannot listen again immediately, if it gets no connection for 30 s, or if it loses
a connection during a query.
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
# The pool increases the delay between its attempts to connect. After this time it starts again with the shortest one.
MAX_OUTAGE_SECONDS = 5.0
RELEASE_UNSEEN: LiteralString = """
    UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL
    WHERE worker_id = %(worker_id)s AND status = 'doing' AND NOT id = ANY(%(seen)s::bigint[])
"""
# A worker that started in the meantime may have deleted the row of this worker, because its heartbeats were missing.
REGISTER_AGAIN: LiteralString = """
    INSERT INTO procrastinate_workers (id) OVERRIDING SYSTEM VALUE VALUES (%(worker_id)s) ON CONFLICT DO NOTHING
"""


class Pool(AsyncConnectionPool[AsyncConnection[Any]]):
    """Waits for a connection without a time limit. No query was sent yet, so none is sent twice."""

    async def getconn(self, timeout: float | None = None) -> AsyncConnection[Any]:
        while True:
            try:
                return await super().getconn(timeout)
            except PoolTimeout:
                log.warning("the queue waits for a connection to Postgres")


class ResilientListener(PsycopgConnector):
    """Repeats queries and listens again after an outage. While it cannot listen, the worker finds new jobs by polling."""

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
        """Execute the query, again after each lost connection. A query whose connection was lost may have had an effect."""
        lost = False
        while True:
            try:
                if lost and query == queries["fetch_job"]:
                    # The lost query may have assigned a job to this worker, which would keep the status `doing` while the worker lives.
                    await super().execute_query_async(RELEASE_UNSEEN, worker_id=arguments["worker_id"], seen=list(self._jobs))
                return await execute(query, **arguments)
            except ConnectorException as error:
                if lost and isinstance(error.__cause__, RaiseException) and query in (queries["finish_job"], queries["retry_job"]):
                    return None  # The query had its effect before the connection was lost.
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
    """Return whether a connection was lost or refused (SQLSTATE classes 08 and 57P, and 53300). Other errors concern the query."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = error.sqlstate
    return state is None or state.startswith(("08", "57P")) or state == "53300"


def install(app: App) -> None:
    """Make workers use this connector, and add IDs to the log lines of jobs (PROCRASTINATE_ON_APP_READY)."""
    app.worker_defaults["worker_middleware"] = [log_context]

    def worker_connector() -> ResilientListener:
        refuse_transaction_pooling()
        if port := django_settings.WORKER_METRICS_PORT:
            exporter.start(port)
        return ResilientListener.with_retries(kwargs=connector_params(settings.DATABASE_ALIAS))

    app.connector.get_worker_connector = worker_connector  # type: ignore[attr-defined]
