"""Group commit: all requests that arrive while a transaction is in progress share the next one. Each is answered after its commit."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from psycopg import errors as postgres

from contextmcp.common.db import describe_error
from contextmcp.common.errors import TemporarilyUnavailable
from usage.decision.results import CommandResult
from usage.decision.rows import LockedRows, rows_to_lock
from usage.errors import counters_locked
from usage.operations.effects import ReadBalances
from usage.store import codec, executor, partitions
from usage.store.codec import Balance, Query
from usage.store.transaction import decide_and_write
from usage.types import AuthorizeCommand, Command, EventBatch

from . import metrics
from .pg_pipeline import ConnectionLost, PgPipeline

log = logging.getLogger(__name__)
MAX_COMMANDS = 512
MAX_EVENTS = 2_000
TRANSACTION_TIMEOUT_SECONDS = 10.0
# After a batch, the next one waits this long for new requests of the callers that were just answered, so that they share it with the
# requests that waited. Timers of an event loop have a resolution of a millisecond.
LINGER_SECONDS = 0.001
LOG_INTERVAL_SECONDS = 5.0
_BEGIN: Query = (b"BEGIN", [])
_COMMIT: Query = (b"COMMIT", [])
_ROLLBACK: Query = (b"ROLLBACK", [])


class BatchQueue:
    """A queue of jobs for one connection. `execute` returns the results of a batch of jobs."""

    def __init__(self, connect: Callable[[], PgPipeline]) -> None:
        self._connect = connect
        self._pipe: PgPipeline | None = None
        self._queue: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._gathering: asyncio.Future[None] | None = None
        self._expected = 0
        self._logged_at = float("-inf")

    def submit(self, job: Any) -> "asyncio.Future[Any]":
        """Return a future of the job's result. It raises `ConnectionLost` if Postgres is unreachable."""
        future = asyncio.get_running_loop().create_future()
        self._queue.append((job, future))
        if self._gathering is not None and len(self._queue) >= self._expected:
            self._lingered()
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._queue:
                batch = self._take_batch()
                await self._serve(batch)
                self._expected = len(batch) + len(self._queue)
                # This lets the callers send their responses, and requests that have arrived join the next batch.
                await asyncio.sleep(0)
                if len(self._queue) < self._expected > 1:
                    await self._linger()
        finally:
            self._running = None

    async def _linger(self) -> None:
        """Wait until as many jobs are queued as the last batch had, but at most `LINGER_SECONDS`. A single caller never waits.

        Without this, callers that were just answered miss the next transaction. Two groups of callers then alternate, with
        batches of half the size, which costs twice the work.
        """
        loop = asyncio.get_running_loop()
        self._gathering = loop.create_future()
        timer = loop.call_later(LINGER_SECONDS, self._lingered)
        try:
            await self._gathering
        finally:
            timer.cancel()
            self._gathering = None

    def _lingered(self) -> None:
        if self._gathering is not None and not self._gathering.done():
            self._gathering.set_result(None)

    def _take_batch(self) -> list[tuple[Any, "asyncio.Future[Any]"]]:
        batch: list[tuple[Any, asyncio.Future[Any]]] = []
        events = 0
        while self._queue and len(batch) < MAX_COMMANDS and events < MAX_EVENTS:
            job, future = entry = self._queue.popleft()
            if future.done():  # The caller was canceled.
                continue
            batch.append(entry)
            events += len(job.events) if isinstance(job, EventBatch) else 1
        return batch

    async def _serve(self, batch: list[tuple[Any, "asyncio.Future[Any]"]]) -> None:
        metrics.BATCHES.inc()
        metrics.BATCHED.inc(len(batch))
        try:
            results = await self._execute_with_connection([job for job, _ in batch])
        except Exception as error:
            self._report(error)
            if len(batch) > 1 and not isinstance(error, ConnectionLost):
                await self._one_by_one(batch)
                return
            if isinstance(error, postgres.LockNotAvailable):
                error = counters_locked()
            elif not isinstance(error, ConnectionLost):
                log.exception("a request could not be decided")
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    def _report(self, error: Exception) -> None:
        """Count the error, and log it at most once in `LOG_INTERVAL_SECONDS`."""
        state = getattr(error, "sqlstate", None) or type(error).__name__
        metrics.DATABASE_ERRORS.labels(state).inc()
        now = asyncio.get_running_loop().time()
        if now - self._logged_at > LOG_INTERVAL_SECONDS:
            self._logged_at = now
            log.warning("a batch failed at Postgres: %s", describe_error(error))

    async def _one_by_one(self, batch: list[tuple[Any, "asyncio.Future[Any]"]]) -> None:
        """Serve the jobs of a failed batch one by one, so that only those that cannot be written fail.

        If another program locks an organization's rows, the first job waits for the lock, and the other jobs get the same refusal.
        """
        refusals: dict[Any, BaseException] = {}
        for job, future in batch:
            organization = getattr(getattr(job, "subject", None), "organization", None)
            if organization in refusals:
                if not future.done():
                    future.set_exception(refusals[organization])
                continue
            await self._serve([(job, future)])
            error = future.exception() if future.done() and not future.cancelled() else None
            if organization is not None and isinstance(error, TemporarilyUnavailable):
                refusals[organization] = error

    async def _execute_with_connection(self, jobs: list[Any]) -> list[Any]:
        if self._pipe is not None and self._pipe.broken:  # It broke while idle.
            self._pipe.close()
            self._pipe = None
        try:
            if self._pipe is None:
                self._pipe = await asyncio.get_running_loop().run_in_executor(None, self._connect)
            timer = asyncio.get_running_loop().call_later(TRANSACTION_TIMEOUT_SECONDS, self._pipe.abort)
            try:
                return await self.execute(self._pipe, jobs)
            finally:
                timer.cancel()
        except (ConnectionLost, postgres.AdminShutdown, postgres.CrashShutdown, postgres.QueryCanceled) as error:
            pipe, self._pipe = self._pipe, None
            if pipe is not None:
                pipe.close()
            raise ConnectionLost(str(error), error.sqlstate) from None

    async def execute(self, pipe: PgPipeline, jobs: list[Any]) -> list[Any]:
        """Return the result of each job, in order."""
        raise NotImplementedError


class CommitQueue(BatchQueue):
    """Decides commands and commits their changes. A job is a `Command`, its result a `CommandResult`."""

    async def execute(self, pipe: PgPipeline, jobs: list[Command]) -> list[CommandResult]:
        for attempt in range(executor.MAX_ATTEMPTS):
            try:
                return await self._attempt(pipe, jobs)
            except Exception as error:
                await pipe.run([_ROLLBACK])
                if attempt == executor.MAX_ATTEMPTS - 1:
                    raise
                if executor.is_missing_partition(error):
                    await asyncio.get_running_loop().run_in_executor(None, partitions.create_ahead, datetime.now(UTC))
                elif not isinstance(error, executor.RETRYABLE_ERRORS):
                    raise
        raise AssertionError("unreachable")

    async def _attempt(self, pipe: PgPipeline, jobs: list[Command]) -> list[CommandResult]:
        steps = decide_and_write(jobs)
        round_trip = next(steps)
        results = (await pipe.run([_BEGIN, *round_trip.queries]))[1:]
        while not round_trip.last:
            round_trip = steps.send(results)
            results = await pipe.run([*round_trip.queries, _COMMIT] if round_trip.last else round_trip.queries)
        try:
            steps.send(results)
        except StopIteration as stop:
            outcomes: list[CommandResult] = stop.value
            return outcomes
        raise AssertionError("unreachable")


class ReadQueue(BatchQueue):
    """Reads without locks. The result of an `AuthorizeCommand` is `LockedRows`, that of `ReadBalances` a list of balances."""

    async def execute(self, pipe: PgPipeline, jobs: list[AuthorizeCommand | ReadBalances]) -> list[LockedRows | list[Balance]]:
        periods = [(job.organization, job.period_start) for job in jobs if isinstance(job, ReadBalances)]
        needed = rows_to_lock([job for job in jobs if not isinstance(job, ReadBalances)])
        queries = codec.unlocked_queries(needed)
        results = await pipe.run([*queries, codec.balances_query(periods)] if periods else queries)
        state = codec.decode_rows(needed, queries, results[: len(queries)])
        balances = iter(codec.decode_balances(results[-1], len(periods)) if periods else ())
        return [next(balances) if isinstance(job, ReadBalances) else state for job in jobs]
