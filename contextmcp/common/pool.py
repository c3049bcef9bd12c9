"""A bounded pool of Postgres connections for a process with many threads.

Django's option `pool` uses `psycopg_pool.ConnectionPool`, which connects in a separate thread: while Postgres is unavailable, each request
waits for the pool's timeout, and afterwards the next attempt may be minutes away. In this pool the thread that needs a connection opens
it, so an outage and its end are noticed immediately.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from prometheus_client import Counter, Gauge
from psycopg.pq import TransactionStatus

# How long a thread waits for a free connection.
WAIT_SECONDS = 5.0
# A connection that was idle for this long is closed when another one is returned.
IDLE_SECONDS = 60.0
IN_USE = Gauge("database_connections_in_use", "Connections to Postgres that requests use", multiprocess_mode="livesum")
EXHAUSTED = Counter("database_pool_timeouts_total", "Requests that found no free connection within the time limit")


class PoolTimeout(psycopg.OperationalError):
    """All connections of this process were in use for WAIT_SECONDS."""

    # too_many_connections
    sqlstate = "53300"


class Pool:
    """At most `size` connections. Has the methods of `psycopg_pool.ConnectionPool` that Django calls."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], size: int) -> None:
        self._connect = connect
        self._free = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        # Used as a stack: the connection that was used last is at the end and is used next.
        self._idle: list[tuple[psycopg.Connection[Any], float]] = []

    def open(self) -> None:
        """Do nothing: connections are opened on demand."""

    def getconn(self) -> psycopg.Connection[Any]:
        """Return a working connection. Raises `PoolTimeout` or `psycopg.OperationalError`."""
        if not self._free.acquire(timeout=WAIT_SECONDS):
            EXHAUSTED.inc()
            raise PoolTimeout(f"all connections of this process were in use for {WAIT_SECONDS:.0f} s (DATABASE_POOL_SIZE)")
        try:
            connection = self._take() or self._connect()
        except BaseException:
            self._free.release()
            raise
        setattr(connection, "_pool", self)  # noqa: B010 - Django returns the connection to this attribute; psycopg types it as its own pool
        IN_USE.inc()
        return connection

    def _take(self) -> "psycopg.Connection[Any] | None":
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()[0]
            try:
                connection.execute("SELECT 1")
            except psycopg.Error:
                connection.close()
                continue
            return connection

    def putconn(self, connection: psycopg.Connection[Any]) -> None:
        """Return a connection to the pool. A connection that is broken or in a transaction is closed."""
        IN_USE.dec()
        now = time.monotonic()
        usable = not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE
        with self._lock:
            stale = [each for each, since in self._idle if now - since > IDLE_SECONDS]
            self._idle = [each for each in self._idle if now - each[1] <= IDLE_SECONDS]
            if usable:
                self._idle.append((connection, now))
        self._free.release()
        for each in stale if usable else [*stale, connection]:
            each.close()

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()


def use_pool(size: int, prepare: "Callable[[psycopg.Connection[Any]], None] | None" = None) -> Pool:
    """Share at most `size` connections to the default database among the threads of this process. Call it before the first query.

    `prepare` is called with each new connection.
    """
    known = connections.settings["default"]
    known["CONN_MAX_AGE"] = 0
    known["OPTIONS"]["pool"] = True
    template = connections["default"]
    assert isinstance(template, DatabaseWrapper)

    def connect() -> psycopg.Connection[Any]:
        parameters = template.get_connection_params()
        connection: psycopg.Connection[Any] = template.Database.connect(**parameters)
        connection.autocommit = True
        template._configure_connection(connection)  # type: ignore[attr-defined]  # as Django's own pool does
        if prepare is not None:
            prepare(connection)
        return connection

    pool = Pool(connect, size)
    DatabaseWrapper._connection_pools["default"] = pool  # type: ignore[attr-defined]  # where Django looks for its pools
    return pool
