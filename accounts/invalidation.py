"""Cache invalidation in all processes within one second.

Rows of `InvalidationEntry` are the invalidation log. A thread of each process polls it every half second; a message in Valkey triggers an
immediate poll. A process that caches data by organization subscribes to `watcher`; code that changes such data calls `publish`.
Database triggers write the rows for keys, members, organizations and users, so no code path can omit one; `notify_now` announces them.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.util import Finalize
from typing import Any
from uuid import UUID

import psycopg
from django.db import connections, transaction
from redis import RedisError

from contextmcp.common import valkey
from contextmcp.common.db import describe_error

from .models import InvalidationEntry

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
# If the last successful poll is older than this, cached data must not be used.
STALE_SECONDS = 1.0
# Minimum time between two polls, regardless of the number of messages.
MIN_POLL_INTERVAL_SECONDS = 0.01
# Rows are kept for an hour (see tasks). A process that did not poll for this long discards its caches.
MAX_POLL_GAP_SECONDS = 600.0
RETRY_VALKEY_SECONDS = 2.0
CHANNEL = "invalidations"
# All transactions before the oldest running transaction have ended. Rows of this transaction and of later ones may still become visible, so
# the next poll starts with its rows. Rows that were already processed are recognized by their ID.
_SELECT_NEW = """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text, entry.id, entry.organization_id, entry.key_id, entry.kind
    FROM (SELECT 1) AS one LEFT JOIN accounts_invalidationentry AS entry ON entry.xid >= %s::text::xid8
    ORDER BY entry.id
"""


@dataclass(frozen=True, slots=True)
class Invalidation:
    """A message to discard cached data of an organization, or of all organizations if `organization_id` is None."""

    organization_id: UUID | None
    key_id: UUID | None
    kind: str


def publish(kind: str, organization_id: UUID | None, key_id: UUID | None = None) -> None:
    """Write an invalidation in the current transaction. All processes receive it after the commit.

    `kind` has at most 20 characters. `organization_id` None means all organizations.
    """
    InvalidationEntry.objects.create(kind=kind, organization_id=organization_id, key_id=key_id)
    notify_now()


def notify_now() -> None:
    """Make all processes poll immediately after the current transaction. Without Valkey they poll within half a second."""
    transaction.on_commit(_publish)


def _publish() -> None:
    client = valkey.client()
    if client is not None:
        with suppress(RedisError):  # The change is committed, so polling finds it without Valkey.
            client.publish(valkey.channel(CHANNEL), b"poll")


class InvalidationWatcher:
    """Polls the invalidation log in a daemon thread, which starts on first use and again after a fork. One per process: `watcher`."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Invalidation], None]] = []
        self._periodic_work: list[tuple[float, Callable[[psycopg.Connection[Any]], None]]] = []
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        self._floor: str | None = None
        self._processed_ids: set[int] = set()
        self._polled_at = float("-inf")
        self._last_runs: dict[int, float] = {}

    def subscribe(self, listener: Callable[[Invalidation], None]) -> None:
        """Register a `listener`, which is called in the watcher's thread for each invalidation. It must be fast and must not raise."""
        self._listeners.append(listener)

    def periodic(self, seconds: float, work: Callable[[psycopg.Connection[Any]], None]) -> None:
        """Call `work` every `seconds` in the watcher's thread with its autocommit connection, and once more on shutdown."""
        self._periodic_work.append((seconds, work))

    def is_fresh(self) -> bool:
        """Return whether all invalidations that were committed more than a second ago have been processed."""
        return time.monotonic() - self._polled_at < STALE_SECONDS

    def start(self) -> None:
        """Start the threads, unless they are running."""
        if self._threads:
            return
        with self._lock:
            if not self._threads:
                self._stopping.clear()
                threads = [
                    threading.Thread(target=run, name=f"invalidation-{run.__name__}", daemon=True) for run in (self._poll, self._listen)
                ]
                for thread in threads:
                    thread.start()
                self._threads = threads

    def stop(self) -> None:
        """Stop the threads after a last run of the periodic work. They can be started again."""
        self._stopping.set()
        self._wake.set()
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(timeout=3)
        self._polled_at = float("-inf")

    def after_fork(self) -> None:
        """Reset the watcher in a child process, which has no threads and must not use the parent's connection or its caches."""
        self._reset()
        self._notify_subscribers(Invalidation(None, None, "fork"))

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._round()
            self._stopping.wait(MIN_POLL_INTERVAL_SECONDS)
            self._wake.wait(POLL_SECONDS - MIN_POLL_INTERVAL_SECONDS)
            self._wake.clear()
        self._last_runs.clear()
        self._round()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _round(self) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = _connect()
            self._poll_once(self._connection)
        except psycopg.Error as error:
            log.warning("Invalidations could not be read: %s", describe_error(error))
            if self._connection is not None:
                self._connection.close()
        except Exception:
            # The thread must continue: without polls all caches become stale.
            log.exception("Polling invalidations failed.")
        else:
            assert self._connection is not None
            self._run_periodic(self._connection)

    def _poll_once(self, connection: psycopg.Connection[Any]) -> None:
        began = time.monotonic()
        first = self._floor is None or began - self._polled_at > MAX_POLL_GAP_SECONDS
        rows = connection.execute(_SELECT_NEW, ["18446744073709551615" if first else self._floor]).fetchall()
        invalidations = [Invalidation(*row[2:]) for row in rows if row[1] is not None and row[1] not in self._processed_ids]
        self._floor = rows[0][0]
        self._processed_ids = {row[1] for row in rows}
        if first:
            invalidations = [Invalidation(None, None, "start")]
        for invalidation in invalidations:
            self._notify_subscribers(invalidation)
        self._polled_at = began

    def _notify_subscribers(self, invalidation: Invalidation) -> None:
        for listener in self._listeners:
            try:
                listener(invalidation)
            except Exception:
                log.exception("A listener of invalidations failed.")

    def _run_periodic(self, connection: psycopg.Connection[Any]) -> None:
        for number, (seconds, work) in enumerate(self._periodic_work):
            if time.monotonic() - self._last_runs.get(number, float("-inf")) >= seconds:
                try:
                    work(connection)
                except psycopg.Error as error:
                    # The poll itself succeeded, so the watcher stays fresh. The work is retried in the next round.
                    state = error.sqlstate or type(error).__name__
                    log.warning("Periodic work %s failed: %s", getattr(work, "__qualname__", work), state)
                    return
                except Exception:
                    log.exception("Periodic work of the invalidation watcher failed.")
                self._last_runs[number] = time.monotonic()

    def _listen(self) -> None:
        """Trigger polls on messages from Valkey. It runs in its own thread, because an unresponsive Valkey must not delay polling."""
        while not self._stopping.is_set():
            client = valkey.client()
            if client is None:
                return
            with suppress(RedisError), client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
                subscription.subscribe(valkey.channel(CHANNEL))
                while not self._stopping.is_set():
                    if subscription.get_message(timeout=POLL_SECONDS):
                        self._wake.set()
            self._stopping.wait(RETRY_VALKEY_SECONDS)


def _connect() -> psycopg.Connection[Any]:
    """Open a connection for the thread. Django's connections belong to requests and their transactions."""
    connection = psycopg.connect(**connections["default"].get_connection_params(), autocommit=True)
    connection.execute("SET lock_timeout = '200ms'")
    connection.execute("SET statement_timeout = '2s'")
    return connection


watcher = InvalidationWatcher()
os.register_at_fork(after_in_child=watcher.after_fork)
# Registered to run at the end of every process. `atexit` is not enough, because multiprocessing ends the web server's workers without it.
Finalize(None, watcher.stop, exitpriority=0)
