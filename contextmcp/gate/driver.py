"""Run usage operations on an event loop. Concurrent operations share transactions, reads and writes to Valkey.

The gate runs the handlers of its routes with it. Other code in the same process can run any operation for a verified principal:

    driver = AsyncDriver()
    authorized = await driver.run(authorization.authorize(UsageCaller.of_principal(principal), request, key))
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.conf import settings

from contextmcp.common.db import connection_string
from usage.decision.results import CommandResult
from usage.errors import counters_locked
from usage.operations.effects import (
    AppendToSpool,
    CacheUnreachable,
    CallDatabase,
    CountDecision,
    DatabaseUnreachable,
    EvalScript,
    ExecuteCommand,
    Operation,
    ReadBalances,
    ReadUnlocked,
)
from usage.operations.sync_driver import is_lock_timeout
from usage.spool import spool
from usage.store import executor
from usage.store.codec import STATEMENTS
from usage.types import Command

from .group_commit import CommitQueue, ReadQueue
from .pg_pipeline import PgPipeline
from .threads import in_thread
from .valkey_client import Unavailable, ValkeyClient

T = TypeVar("T")
# Postgres is treated as unreachable if it does not return a principal or entitlements in this time.
LOAD_SECONDS = 5.0
# Number of threads that use Django's ORM for authenticated requests.
DATABASE_THREADS = 4
# Number of threads that wait for the spool's disk. It is also the maximum number of requests that share one fsync.
SPOOL_THREADS = 64
SESSION_SETTINGS = (
    "SET statement_timeout = '8s'",
    # Longer than any commit of the gate. Only other programs lock a row for longer, and all requests of a batch wait for that lock.
    "SET lock_timeout = '2s'",
    "SET application_name = 'contextmcp gate'",
    "SET TimeZone = 'UTC'",
    # The plan with primary keys is good for one row and for hundreds. Planning each execution would cost more.
    "SET plan_cache_mode = 'force_generic_plan'",
    # A plan from the time when a table was small would read the whole table, and be used until Postgres analyzes the grown table.
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_material = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET jit = off",
)


class AsyncDriver:
    """Runs operations. Connections are opened on first use and reopened after a loss. Create one per event loop, on the loop."""

    def __init__(self) -> None:
        address = connection_string().encode()

        def connect() -> PgPipeline:
            return PgPipeline(address, STATEMENTS, SESSION_SETTINGS)

        self._commits = CommitQueue(connect)
        # For commands that no caller waits for. Opened on first use, which the gate never needs. The transactions of both queues take
        # their locks in the order of `usage.store.sql`, as those of different processes do.
        self._background_commits = CommitQueue(connect)
        self._reads = ReadQueue(connect)
        self._valkey = ValkeyClient(settings.REDIS_URL) if settings.REDIS_URL else None
        self._threads = ThreadPoolExecutor(DATABASE_THREADS, "gate-rows")
        self._spool_threads: ThreadPoolExecutor | None = None
        if (directory := spool.spool_dir()) is not None:
            self._spool_threads = ThreadPoolExecutor(SPOOL_THREADS, "gate-spool")
            # Replays the calls that earlier processes spooled.
            spool.SPOOL.start(directory)

    def submit(self, command: Command) -> "asyncio.Future[CommandResult]":
        """Execute a command in the background, on a connection of its own, and return a future of its result.

        The future raises `DatabaseUnreachable` if Postgres is unreachable.
        """
        return self._background_commits.submit(command)

    async def run(self, operation: Operation[T]) -> T:
        """Run an operation to its end. Return what it returns, and raise what it raises."""
        try:
            effect = next(operation)
            while True:
                try:
                    # The effects of most requests are performed here, because each further coroutine adds to the cost of a check.
                    if isinstance(effect, ExecuteCommand):
                        result = await self._commits.submit(effect.command)
                    elif isinstance(effect, EvalScript):
                        result = await self._eval_script(effect)
                    elif isinstance(effect, ReadUnlocked):
                        result = await self._reads.submit(effect.command)
                    elif isinstance(effect, CountDecision):
                        # The gate counts its responses by route and code instead, including requests that were refused before a decision.
                        result = None
                    else:
                        result = await self._perform(effect)
                except GeneratorExit:
                    raise
                except Unavailable as error:
                    effect = operation.throw(CacheUnreachable(str(error)))
                except BaseException as error:
                    effect = operation.throw(error)
                else:
                    effect = operation.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _eval_script(self, effect: EvalScript) -> Awaitable[Any]:
        if self._valkey is None:
            raise CacheUnreachable("REDIS_URL is empty")
        return self._valkey.eval_script(effect.script, effect.keys, effect.arguments)

    async def _perform(self, effect: ReadBalances | CallDatabase | AppendToSpool) -> Any:
        match effect:
            case ReadBalances():
                return await self._reads.submit(effect)
            case CallDatabase():
                return await self._call_database(effect.function, effect.arguments)
            case AppendToSpool():
                # The write waits for the disk.
                return await asyncio.get_running_loop().run_in_executor(self._spool_threads, spool.append, effect.command, effect.body)

    async def _call_database(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        try:
            return await asyncio.wait_for(in_thread(self._threads, function, *arguments), LOAD_SECONDS)
        except TimeoutError:
            raise DatabaseUnreachable("PostgreSQL did not respond in time.") from None
        except executor.UNREACHABLE_ERRORS as error:
            if is_lock_timeout(error):
                raise counters_locked() from None
            raise DatabaseUnreachable(str(error)) from None
