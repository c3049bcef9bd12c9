"""An HTTP/1.1 client for upstream MCP servers: kept connections, streamed responses, backpressure and limits.

A request is never repeated here. Only the client knows whether a tool call may run twice.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from typing import cast
from urllib.parse import urlsplit

import httptools
from msgspec import Struct

from .errors import UpstreamError, UpstreamUnavailable

Headers = list[tuple[bytes, bytes]]
# Reading from the server pauses while this many bytes wait for the client.
HIGH_WATER, LOW_WATER = 256 * 1024, 64 * 1024
MAX_HEADER_BYTES = 64 * 1024
# Servers close idle connections (uvicorn, which is common, after 5 seconds). The pool closes them earlier.
KEEP_ALIVE_SECONDS = 4.0
_NO_BODY = frozenset({204, 304})


class Limits(Struct, frozen=True):
    """Timeouts in seconds and the maximum number of connections to one server."""

    connect_seconds: float = 5.0
    # Until the head of the response. A tool that reports no progress may take this long.
    head_seconds: float = 300.0
    # Between two parts of a response.
    idle_seconds: float = 300.0
    max_connections: int = 1000


_TIMED_OUT = object()


class UpstreamResponse:
    """The head of a response, and its body in parts. Use it as a context manager: leaving it early closes the connection."""

    def __init__(self, connection: _Connection, pool: UpstreamPool) -> None:
        self._connection, self._pool = connection, pool
        self.status = connection.status
        self.headers = connection.headers

    def header(self, name: bytes) -> bytes:
        """Return the header's first value, or an empty value. `name` is in lower case."""
        return next((value for key, value in self.headers if key == name), b"")

    async def read(self) -> bytes:
        """Return the next part of the body, or an empty value at its end.

        Raises:
            UpstreamError: the server closed the connection early, sent invalid HTTP, or sent nothing for too long.
        """
        return await self._connection.read()

    def __enter__(self) -> UpstreamResponse:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.release(self._connection)


class UpstreamPool:
    """The connections to one server."""

    def __init__(self, url: str, limits: Limits) -> None:
        parts = urlsplit(url)
        self._host, self._tls = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._target = (parts.path or "/").encode() + (f"?{parts.query}".encode() if parts.query else b"")
        self._host_header = parts.netloc.rpartition("@")[2].encode()
        self._limits = limits
        self._context = ssl.create_default_context() if self._tls else None
        self._idle: deque[_Connection] = deque()
        self._places = asyncio.Semaphore(limits.max_connections)

    async def send(self, method: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> UpstreamResponse:
        """Send a request and return once the head of its response has arrived. `headers` excludes Host and the length of the body.

        Raises:
            UpstreamUnavailable: no connection could be opened, or no response began in time.
            UpstreamError: the response is not HTTP.
        """
        if not self._places.locked():
            # This never blocks, so it has no timeout, which would take longer than the operation.
            await self._places.acquire()
        else:
            await self._wait_for_place()
        try:
            connection = self._take_idle() or await self._connect()
        except BaseException:
            self._places.release()
            raise
        try:
            lines = [method + b" " + self._target + b" HTTP/1.1", b"host: " + self._host_header]
            lines += [name + b": " + value for name, value in headers]
            lines.append(b"content-length: %d" % len(body))
            await connection.exchange(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        except BaseException:
            self.release(connection)
            raise
        return UpstreamResponse(connection, self)

    async def _wait_for_place(self) -> None:
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise UpstreamUnavailable("The server has too many requests in progress.") from None

    def release(self, connection: _Connection) -> None:
        """Keep the connection for another request, or close it if its response was not read to the end."""
        self._places.release()
        if connection.reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().abort()

    def _take_idle(self) -> _Connection | None:
        oldest_usable = asyncio.get_running_loop().time() - KEEP_ALIVE_SECONDS
        while self._idle and (self._idle[0].idle_since < oldest_usable or not self._idle[0].reusable):
            self._idle.popleft().abort()
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                _, connection = await loop.create_connection(lambda: _Connection(self._limits), self._host, self._port, ssl=self._context)
        except (OSError, TimeoutError):
            # ssl.SSLError and socket.gaierror are OSErrors.
            raise UpstreamUnavailable("The server cannot be reached.") from None
        return connection


class _Connection(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[object] | None = None
        self._is_lost = False
        self.idle_since = 0.0
        # Reads one response after another. A connection with an invalid response is not reused.
        self._parser = httptools.HttpResponseParser(self)
        self._reset()
        self._is_complete = True

    def _reset(self) -> None:
        self.status, self.headers = 0, Headers()
        self._header_bytes = 0
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._has_head = self._is_complete = self._is_paused = self._ends_with_connection = False
        self._keeps_alive = True
        self._error: UpstreamError | None = None

    @property
    def reusable(self) -> bool:
        """Return whether another request may be sent."""
        return self._is_complete and self._keeps_alive and not self._is_lost and not self._chunks and self._error is None

    async def exchange(self, request: bytes) -> None:
        """Send the request and wait for the head of its response."""
        self._reset()
        assert self._transport is not None
        self._transport.write(request)
        while not self._has_head:
            await self._wait(self._limits.head_seconds, "The server did not respond in time.")

    async def read(self) -> bytes:
        while not self._chunks:
            if self._is_complete:
                return b""
            await self._wait(self._limits.idle_seconds, "The server stopped responding.")
        chunk = b"".join(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
        self._chunks.clear()
        self._buffered = 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return chunk

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, seconds: float, message: str) -> None:
        """Wait for the next event of the connection. Raises its error unless parts of the body are still unread."""
        self._raise_error()
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        # Does not use `asyncio.timeout`, which would double the cost of a wait.
        timer = loop.call_later(seconds, _time_out, waiter)
        try:
            if await waiter is _TIMED_OUT:
                raise UpstreamUnavailable(message)
        finally:
            timer.cancel()
            self._waiter = None
        if not self._chunks:
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: UpstreamError) -> None:
        self._error = self._error or error
        self._keeps_alive = False
        self._wake()

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not instances of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._is_complete:
            # No request is in progress. Data received now would be read as the response to the next request.
            self._keeps_alive = False
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, UpstreamError):
            self._fail(UpstreamError("The server's response is not valid HTTP."))
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        if not self._is_complete:
            if self._has_head and self._ends_with_connection and error is None:
                self._is_complete = True
            else:
                self._fail(UpstreamError("The server closed the connection before the end of its response."))
        self._wake()

    # httptools
    def on_message_begin(self) -> None:
        if self._is_complete:
            raise UpstreamError("The server sent a second response.")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise UpstreamError("The server's headers are too large.")
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        self._keeps_alive = self._parser.should_keep_alive()
        names = {name for name, _ in self.headers}
        self._ends_with_connection = self.status not in _NO_BODY and not names & {b"content-length", b"transfer-encoding"}
        self._has_head = True
        self._wake()

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > HIGH_WATER and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self.status < 200:
            # An interim response (RFC 9110, section 15.2); the final one follows.
            self.headers, self._header_bytes = Headers(), 0
            return
        self._is_complete = True
        self._wake()


def _time_out(waiter: asyncio.Future[object]) -> None:
    if not waiter.done():
        waiter.set_result(_TIMED_OUT)
