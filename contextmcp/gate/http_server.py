"""The state that all connections of a gate process share: the application, the limits, the timer and the shutdown."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Protocol

from . import metrics
from .http_messages import ClientTrust, HttpRequest, HttpResponse

SWEEP_SECONDS = 1.0
# A process that ends serves its open connections for this time, with `Connection: close` in each response. A proxy that has just sent a
# request on such a connection gets a response instead of a reset.
DRAIN_SECONDS = 2.0
# The first 8 KiB of each connection are not counted, so that small requests are always accepted.
UNCOUNTED_BYTES = 8 * 1024


class OpenConnection(Protocol):
    """The methods of a connection that the server calls."""

    answering: bool

    def close_if_late(self, now: float) -> None:
        """Close the connection if it exceeded a time limit."""

    def close(self) -> None:
        """Close the connection after the written data is sent."""

    def abort(self) -> None:
        """Close the connection immediately and discard unsent data."""


class HttpServer:
    """The state that all connections share. There is one instance per process."""

    def __init__(
        self,
        answer: Callable[[HttpRequest], Awaitable[HttpResponse]],
        refuse: Callable[[int], HttpResponse],
        max_body_bytes: int,
        *,
        identify: Callable[[Mapping[str, str]], tuple[ClientTrust, bytes | None]] = lambda headers: (ClientTrust.UNVERIFIED, None),
        max_connections: int = 8192,
    ) -> None:
        """`refuse` returns the response for a status without a request (400, 408, 413, 414, 431, 503); `max_body_bytes` limits one body."""
        self.answer, self.refuse, self.max_body_bytes, self.identify = answer, refuse, max_body_bytes, identify
        self.max_connections = max_connections
        self.loop = asyncio.get_running_loop()
        self.connections: set[OpenConnection] = set()
        # The connections without a verified key, oldest first.
        self.unverified: dict[OpenConnection, None] = {}
        self.buffered = dict.fromkeys(ClientTrust, 0)
        self.tasks: set[asyncio.Task[None]] = set()
        self.ending = False
        self.sweep()

    def sweep(self) -> None:
        """Close connections that exceeded a time limit. One timer serves all connections."""
        now = self.loop.time()
        for connection in list(self.connections):
            connection.close_if_late(now)
        metrics.CONNECTIONS.set(len(self.connections))
        metrics.BUFFERED_BYTES.set(sum(self.buffered.values()))
        metrics.flush()
        if not self.ending:
            self.loop.call_later(SWEEP_SECONDS, self.sweep)

    def has_room(self) -> bool:
        """Return whether another connection may be accepted. At the limit, the oldest one without a verified key is closed."""
        if len(self.connections) < self.max_connections:
            return True
        for connection in self.unverified:
            if not connection.answering:
                metrics.EVICTIONS.inc()
                connection.abort()
                return True
        return False

    def date(self, now: float) -> str:
        """Return the `Date` header, which is formatted once a second."""
        if now >= self._date_until:
            self._date, self._date_until = formatdate(usegmt=True), now + 1.0
        return self._date

    _date, _date_until = "", 0.0

    async def shut_down(self, timeout: float) -> None:
        """Serve open connections for DRAIN_SECONDS, wait at most `timeout` seconds for requests in progress, then close."""
        self.ending = True
        drained = self.loop.time() + DRAIN_SECONDS
        while self.connections and self.loop.time() < drained:
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.close_if_late(self.loop.time())
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=timeout)
        for connection in list(self.connections):
            connection.close()
