"""Group commit: all requests that arrive while a transaction is under way share the next one. Each is answered after its commit."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from psycopg import errors as postgres

from contextmcp.common.errors import TemporarilyUnavailable
from usage import partitions, store
from usage.binary import Times, Uuids
from usage.decide import Outcome, decide
from usage.rows import Needs, State, needs
from usage.tally import Tally
from usage.types import Job, Report

from .postgres import Gone, Pipe, Query
from .wire import number, query, questions, rows, state_of, writes

log = logging.getLogger(__name__)
MOST_JOBS = 512
MOST_EVENTS = 2_000
SECONDS = 10.0
# How long those whose answers just went out are waited for, so that they share the next transaction with those who waited. An event loop
# counts in whole milliseconds.
GATHER_SECONDS = 0.001
_BEGIN: Query = (b"BEGIN", [])
_COMMIT: Query = (b"COMMIT", [])
_ROLLBACK: Query = (b"ROLLBACK", [])


class Batches:
    """The queue in front of one connection. `work` turns what is taken from it into outcomes."""

    def __init__(self, connect: Callable[[], Pipe]) -> None:
        self._connect = connect
        self._pipe: Pipe | None = None
        self._queue: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self._gathering: asyncio.Future[None] | None = None
        self._expected = 0

    def submit(self, job: Any) -> "asyncio.Future[Any]":
        """Its outcome, in time. Raises `Gone` where Postgres cannot be reached."""
        future = asyncio.get_running_loop().create_future()
        self._queue.append((job, future))
        if self._gathering is not None and len(self._queue) >= self._expected:
            self._gathered()
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._queue:
                batch = self._take()
                await self._serve(batch)
                self._expected = len(batch) + len(self._queue)
                # The answers go out, and what has come in meanwhile goes with the next.
                await asyncio.sleep(0)
                if len(self._queue) < self._expected > 1:
                    await self._gather()
        finally:
            self._running = None

    async def _gather(self) -> None:
        """Until as many wait as were there before, or for a moment. Whoever asks alone is never kept waiting.

        Without it those who are answered miss the next transaction, and two groups take turns: half the size, twice the work.
        """
        loop = asyncio.get_running_loop()
        self._gathering = loop.create_future()
        timer = loop.call_later(GATHER_SECONDS, self._gathered)
        try:
            await self._gathering
        finally:
            timer.cancel()
            self._gathering = None

    def _gathered(self) -> None:
        if self._gathering is not None and not self._gathering.done():
            self._gathering.set_result(None)

    def _take(self) -> list[tuple[Any, "asyncio.Future[Any]"]]:
        taken: list[tuple[Any, asyncio.Future[Any]]] = []
        events = 0
        while self._queue and len(taken) < MOST_JOBS and events < MOST_EVENTS:
            one = self._queue.popleft()
            if one[1].done():  # Whoever asked has gone.
                continue
            taken.append(one)
            events += len(one[0].events) if isinstance(one[0], Report) else 1
        return taken

    async def _serve(self, batch: list[tuple[Any, "asyncio.Future[Any]"]]) -> None:
        try:
            outcomes = await self._settled([job for job, _ in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, Gone):
                await self._one_by_one(batch)
                return
            if isinstance(error, postgres.LockNotAvailable):
                error = TemporarilyUnavailable("This organization's counters are being worked on. Try again shortly.", retry_after=1)
            elif not isinstance(error, Gone):
                log.exception("a request could not be decided")
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)

    async def _one_by_one(self, batch: list[tuple[Any, "asyncio.Future[Any]"]]) -> None:
        """One of them cannot be written: alone, each is answered for itself. Where rows are held, one call finds out for all of theirs."""
        held: dict[Any, BaseException] = {}
        for job, future in batch:
            organization = getattr(getattr(job, "who", None), "organization", None)
            if organization in held:
                if not future.done():
                    future.set_exception(held[organization])
                continue
            await self._serve([(job, future)])
            error = future.exception() if future.done() and not future.cancelled() else None
            if organization is not None and isinstance(error, TemporarilyUnavailable):
                held[organization] = error

    async def _settled(self, jobs: list[Any]) -> list[Any]:
        if self._pipe is not None and self._pipe.broken:  # While nobody asked.
            self._pipe.close()
            self._pipe = None
        try:
            if self._pipe is None:
                self._pipe = await asyncio.get_running_loop().run_in_executor(None, self._connect)
            watch = asyncio.get_running_loop().call_later(SECONDS, self._pipe.give_up)
            try:
                return await self.work(self._pipe, jobs)
            finally:
                watch.cancel()
        except (Gone, postgres.AdminShutdown, postgres.CrashShutdown, postgres.QueryCanceled) as error:
            pipe, self._pipe = self._pipe, None
            if pipe is not None:
                pipe.close()
            raise Gone(type(error).__name__) from None

    async def work(self, pipe: Pipe, jobs: list[Any]) -> list[Any]:
        raise NotImplementedError


class Commits(Batches):
    """Jobs to outcomes, counted and committed."""

    async def work(self, pipe: Pipe, jobs: list[Job]) -> list[Outcome]:
        for attempt in range(store.PATIENCE):
            try:
                return await self._once(pipe, jobs)
            except Exception as error:
                await pipe.run([_ROLLBACK])
                if attempt == store.PATIENCE - 1:
                    raise
                if isinstance(error, postgres.CheckViolation) and "no partition of relation" in str(error):
                    await asyncio.get_running_loop().run_in_executor(None, partitions.create_ahead, datetime.now(UTC))
                elif not isinstance(error, store.RACES):
                    raise
        raise AssertionError("unreachable")

    async def _once(self, pipe: Pipe, jobs: list[Job]) -> list[Outcome]:
        wanted = needs(jobs)
        state = await read(pipe, wanted, begin=True)
        tally = Tally()
        outcomes = decide(jobs, state, tally)
        if state.crowded:
            expired = await pipe.run([query(b"expire_holds", [*key, *key]) for key in sorted(state.crowded)])
            if any(result.command_tuples for result in expired):
                state, tally = await read(pipe, wanted), Tally()
                outcomes = decide(jobs, state, tally)
        await pipe.run([*writes(tally), _COMMIT])
        return outcomes


async def read(pipe: Pipe, wanted: Needs, *, begin: bool = False) -> State:
    """As `usage.store.read`, in one round trip where every row is there already."""
    asked = questions(wanted)
    results = await pipe.run([_BEGIN, *asked] if begin else asked)
    state = state_of(wanted, asked, results[1:] if begin else results)
    missing = [key for key in wanted.counters if key not in state.counters]
    making = []
    if missing:
        ends = Times([wanted.counters[key] for key in missing])
        making.append(query(b"make_counters", [*store.counter_columns(missing), ends]))
    if len(state.levels) < len(wanted.levels):
        making.append(query(b"make_levels", store.level_columns(wanted)))
    if making:
        results = await pipe.run([*making, *asked])
        state = state_of(wanted, asked, results[len(making) :])
    return state


class Standing(Struct):
    """A job of `Peeks`: how an organization stands in the period that began then."""

    organization: bytes
    period_start: datetime


class Peeks(Batches):
    """What stands where asks would take from, or all that stands, read for many at once and locking nothing."""

    async def work(self, pipe: Pipe, jobs: list[Any]) -> list[Any]:
        standings = [job for job in jobs if isinstance(job, Standing)]
        wanted = needs([job for job in jobs if not isinstance(job, Standing)])
        asked = []
        if wanted.counters:
            asked.append(query(b"peek_counters", store.counter_columns(list(wanted.counters))))
        if wanted.levels:
            asked.append(query(b"peek_levels", store.level_columns(wanted)))
        peeks = len(asked)
        if standings:
            columns = [Uuids([job.organization for job in standings]), Times([job.period_start for job in standings])]
            asked.append(query(b"standing", columns))
        results = await pipe.run(asked)
        state = state_of(wanted, asked[:peeks], results[:peeks])
        found: list[list[tuple[str, int, int]]] = [[] for _ in standings]
        if standings:
            for n, feature, amount, held in rows(results[-1]):
                found[number(n) - 1].append(((feature or b"").decode(), number(amount), number(held)))
        each = iter(found)
        return [next(each) if isinstance(job, Standing) else state for job in jobs]
