"""Clients' connections whose responses may be streams. Requests are read as the gate reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from contextmcp.gate.http1 import Connection, HttpServer
from contextmcp.gate.http_messages import ClientTrust, HttpRequest, HttpResponse

Headers = list[tuple[bytes, bytes]]
Application = Callable[[HttpRequest, "ResponseWriter"], Awaitable[None]]
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_LENGTH = b"content-length"
# Statuses of responses without a body, which must not have a Content-Length (RFC 9110, 8.6).
_NO_BODY = frozenset({204, 304})
# A client that reads nothing for this time, although data is waiting, is disconnected.
STALLED_SECONDS = 60.0


class StreamingServer(HttpServer):
    """The state that the connections of a process share. `application` answers each request through a `ResponseWriter`."""

    def __init__(
        self,
        application: Application,
        refuse: Callable[[int], HttpResponse],
        max_body_bytes: int,
        *,
        identify: Callable[[Mapping[str, str]], tuple[ClientTrust, bytes | None]],
        max_connections: int,
    ) -> None:
        super().__init__(_no_response, refuse, max_body_bytes, identify=identify, max_connections=max_connections)
        self.application = application


class StreamingConnection(Connection):
    """One client's connection."""

    __slots__ = ("_drained", "_streaming_server", "gone")

    def __init__(self, server: StreamingServer, on_lost: Callable[[], None] = lambda: None) -> None:
        super().__init__(server, on_lost)
        self._streaming_server = server
        # Done when the connection is lost.
        self.gone: asyncio.Future[None] = server.loop.create_future()
        self._drained: asyncio.Future[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.gone.set_result(None)
        self._wake()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wake()

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def _answer(self, request: HttpRequest) -> None:
        server, response = self._streaming_server, ResponseWriter(self, request)
        try:
            await server.application(request, response)
        finally:
            server.tasks.discard(self._task)
            self._task = None
        self.answering = False
        if self._transport is None:
            return
        self._since = server.loop.time()
        self._release(request)
        if not response.is_complete:
            # Closing the connection is the only way to tell the client that the response is incomplete.
            self.abort()
            return
        self._continue(response.keep_alive and self._keeps_alive(request))

    def write_head(self, status: int, headers: Headers, request: HttpRequest, body: bytes = b"") -> bool:
        """Write the status and headers of a response. Return whether the connection is kept after it."""
        keep_alive = self._keeps_alive(request)
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        lines += [b"%s: %s\r\n" % header for header in headers]
        if not keep_alive:
            lines.append(b"connection: close\r\n")
        elif request.http_1_0:
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"date: %s\r\n\r\n" % self._server.date(self._server.loop.time()).encode())
        lines.append(body)
        self._transport.write(b"".join(lines))
        return keep_alive

    def write(self, data: bytes) -> None:
        """Write a part of a body, unless the client has disconnected."""
        if self._transport is not None:
            self._transport.write(data)

    @property
    def is_lost(self) -> bool:
        """Return whether the client has disconnected."""
        return self._transport is None

    @property
    def is_http_1_0(self) -> bool:
        """Return whether the client uses HTTP/1.0, which does not support chunked encoding."""
        return self._parser.get_http_version() == "1.0"

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written."""
        while self._full and self._transport is not None:
            self._drained = self._server.loop.create_future()
            timer = self._server.loop.call_later(STALLED_SECONDS, self.abort)
            try:
                await self._drained
            finally:
                timer.cancel()


class ResponseWriter:
    """The response to one request: `respond` once, or `start`, any number of `write`, and `end`.

    Data for a client that has disconnected is dropped.
    """

    __slots__ = ("_connection", "_is_chunked", "_request", "is_complete", "is_started", "keep_alive")

    def __init__(self, connection: StreamingConnection, request: HttpRequest) -> None:
        self._connection, self._request = connection, request
        self.is_started = self.is_complete = self._is_chunked = False
        self.keep_alive = True

    @property
    def gone(self) -> asyncio.Future[None]:
        """Return a future that is done when the client has closed the connection."""
        return self._connection.gone

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete response. If a stream has already started, the connection is closed instead."""
        if self._connection.is_lost or self.is_started:
            return
        self.is_started = True
        if status not in _NO_BODY:
            headers = [*headers, (_LENGTH, b"%d" % len(body))]
        self.keep_alive = self._connection.write_head(status, headers, self._request, body if self._request.method != "HEAD" else b"")
        self.is_complete = True

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head of a stream."""
        if self._connection.is_lost:
            return
        self.is_started, self._is_chunked = True, not self._connection.is_http_1_0
        if self._is_chunked:
            headers = [*headers, (b"transfer-encoding", b"chunked")]
        self.keep_alive = self._connection.write_head(status, headers, self._request) and self._is_chunked

    async def write(self, data: bytes) -> None:
        """Send a part of a stream. Waits while the client reads slowly."""
        if data:
            self._connection.write(b"%x\r\n%s\r\n" % (len(data), data) if self._is_chunked else data)
            await self._connection.drain()

    async def end(self) -> None:
        """End a stream."""
        if self._is_chunked:
            self._connection.write(b"0\r\n\r\n")
        self.is_complete = True


async def _no_response(_: HttpRequest) -> HttpResponse:
    raise AssertionError("a streaming connection asks the application itself")
