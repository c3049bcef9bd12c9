"""How news that something remembered is no longer true reaches every process within a second.

The database is the truth: rows of `Revocation`, polled every half second by a thread of each process. Valkey only says "look now".
Any process that remembers something by organization subscribes to `watcher`; whoever changes such a thing calls `announce`. The rows for
keys, members, organizations and users are written by triggers, so that no code path can forget one; `hurry` then spreads them at once.
"""

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from django.db import connections, transaction
from redis import RedisError

from contextmcp.common import valkey

from .models import Revocation

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
# Without a successful look for this long, nothing remembered may be trusted.
STALE_SECONDS = 1.0
# Two looks are at least this far apart, however fast the news comes.
PACE_SECONDS = 0.01
# Rows are kept for an hour (see tasks). A process that did not look for this long starts afresh.
GAP_SECONDS = 600.0
RETRY_VALKEY_SECONDS = 2.0
CHANNEL = "revocations"
# Everything its writer had begun before the oldest transaction still running is settled. Rows of that one and later ones may
# yet appear, so the next look begins there; what it finds again is recognised by its number.
_LOOK = """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text, found.id, found.organization_id, found.key_id, found.kind
    FROM (SELECT 1) AS one LEFT JOIN accounts_revocation AS found ON found.xid >= %s::text::xid8
    ORDER BY found.id
"""


@dataclass(frozen=True, slots=True)
class Notice:
    """Forget what concerns this organization. No organization: forget everything."""

    organization_id: UUID | None
    key_id: UUID | None
    kind: str


def announce(kind: str, organization_id: UUID | None, key_id: UUID | None = None) -> None:
    """Tell every process, once the current transaction commits. `kind` is at most 20 characters; `organization_id` None means everybody."""
    Revocation.objects.create(kind=kind, organization_id=organization_id, key_id=key_id)
    hurry()


def hurry() -> None:
    """Have every process look at once, after the current transaction. Without Valkey they look within half a second anyway."""
    transaction.on_commit(_publish)


def _publish() -> None:
    client = valkey.client()
    if client is not None:
        with suppress(RedisError):  # Whatever is wrong with it: the change is committed, and polling finds it.
            client.publish(valkey.channel(CHANNEL), b"look")


class Watcher:
    """Looks for news in a daemon thread, started when first needed and again after a fork. One per process: `watcher`."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Notice], None]] = []
        self._chores: list[tuple[float, Callable[[psycopg.Connection[Any]], None]]] = []
        self._forget_threads()

    def _forget_threads(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._connection: psycopg.Connection[Any] | None = None
        self._floor: str | None = None
        self._seen: set[int] = set()
        self._looked_at = float("-inf")
        self._chores_done: dict[int, float] = {}

    def subscribe(self, listener: Callable[[Notice], None]) -> None:
        """`listener` is called in the watcher's thread for each notice. It must be quick and must not raise."""
        self._listeners.append(listener)

    def chore(self, seconds: float, work: Callable[[psycopg.Connection[Any]], None]) -> None:
        """Have `work` done every so often, in the same thread on the same (autocommit) connection, and once more at the end."""
        self._chores.append((seconds, work))

    def fresh(self) -> bool:
        """Whether everything committed a second ago has been heard of."""
        return time.monotonic() - self._looked_at < STALE_SECONDS

    def start(self) -> None:
        """Does nothing if it runs."""
        if self._threads:
            return
        with self._lock:
            if not self._threads:
                self._stopping.clear()
                threads = [
                    threading.Thread(target=run, name=f"revocations-{run.__name__}", daemon=True) for run in (self._poll, self._listen)
                ]
                for thread in threads:
                    thread.start()
                self._threads = threads

    def stop(self) -> None:
        """End the threads, after a last round of chores. It can be started again."""
        self._stopping.set()
        self._news.set()
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(timeout=3)
        self._looked_at = float("-inf")

    def after_fork(self) -> None:
        """The child has neither the threads nor a right to the parent's connection, and must trust nothing it inherited."""
        self._forget_threads()
        self._tell(Notice(None, None, "fork"))

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._round()
            self._stopping.wait(PACE_SECONDS)
            self._news.wait(POLL_SECONDS - PACE_SECONDS)
            self._news.clear()
        self._chores_done.clear()
        self._round()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _round(self) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = _connect()
            self._look(self._connection)
        except psycopg.Error as error:
            # The address and whatever else stands in the message stays out of the log.
            log.warning("revocations cannot be read: %s", type(error).__name__)
            if self._connection is not None:
                self._connection.close()
        except Exception:
            # Without this thread nothing would be trusted any more; it goes on.
            log.exception("looking for revocations failed")
        else:
            assert self._connection is not None
            self._do_chores(self._connection)

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        began = time.monotonic()
        first = self._floor is None or began - self._looked_at > GAP_SECONDS
        rows = connection.execute(_LOOK, ["18446744073709551615" if first else self._floor]).fetchall()
        news = [Notice(*row[2:]) for row in rows if row[1] is not None and row[1] not in self._seen]
        self._floor = rows[0][0]
        self._seen = {row[1] for row in rows}
        if first:
            news = [Notice(None, None, "start")]
        for notice in news:
            self._tell(notice)
        self._looked_at = began

    def _tell(self, notice: Notice) -> None:
        for listener in self._listeners:
            try:
                listener(notice)
            except Exception:
                log.exception("a listener of revocations failed")

    def _do_chores(self, connection: psycopg.Connection[Any]) -> None:
        for number, (seconds, work) in enumerate(self._chores):
            if time.monotonic() - self._chores_done.get(number, float("-inf")) >= seconds:
                try:
                    work(connection)
                except psycopg.Error as error:
                    # Revocations were read: this must not look as if they were not. The work is tried again in the next round.
                    state = error.sqlstate or type(error).__name__
                    log.warning("%s could not be done: %s", getattr(work, "__qualname__", work), state)
                    return
                except Exception:
                    log.exception("work of the revocation watcher failed")
                self._chores_done[number] = time.monotonic()

    def _listen(self) -> None:
        """A thread of its own: a Valkey that hangs must not keep the other from looking."""
        while not self._stopping.is_set():
            client = valkey.client()
            if client is None:
                return
            with suppress(RedisError), client.pubsub(ignore_subscribe_messages=True) as subscription:  # type: ignore[no-untyped-call]
                subscription.subscribe(valkey.channel(CHANNEL))
                while not self._stopping.is_set():
                    if subscription.get_message(timeout=POLL_SECONDS):
                        self._news.set()
            self._stopping.wait(RETRY_VALKEY_SECONDS)


def _connect() -> psycopg.Connection[Any]:
    """A connection of the thread's own: Django's belong to requests and to their transactions."""
    connection = psycopg.connect(**connections["default"].get_connection_params(), autocommit=True)
    connection.execute("SET lock_timeout = '200ms'")
    connection.execute("SET statement_timeout = '2s'")
    return connection


watcher = Watcher()
os.register_at_fork(after_in_child=watcher.after_fork)
atexit.register(watcher.stop)
