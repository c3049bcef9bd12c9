"""Serve HTTP/1.1 on the event loop with llhttp as the parser. It needs a fifth of the CPU of a server with a thread per request.

It implements only what the gate needs: small requests and responses, persistent connections, and one response at a time per connection.
ADR-018 compares it with maintained servers.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools

from contextmcp.common.errors import DomainError
from contextmcp.common.headers import PRIVATE
from contextmcp.common.http_rules import SINGLE_HEADERS, add_repeated_header, check_request

from .http_messages import JSON_HEADERS, ClientTrust, Headers, HttpRequest, HttpResponse
from .http_server import UNCOUNTED_BYTES, HttpServer

__all__ = ["Connection", "Headers", "HttpRequest", "HttpResponse", "HttpServer"]
# Maximum size of the request line and headers of one request.
MAX_HEADER_BYTES = 64 * 1024
# Time limits until the next request begins, until its headers are complete, and until its body is complete.
IDLE_SECONDS = 75.0
HEADER_SECONDS = 15.0
BODY_SECONDS = 30.0
# If a client is still sending when it is refused, the connection stays open for this time, and for this many times the limit of a body.
# Closing it immediately would send a reset, which discards the response that the client has not read yet (RFC 9112, 9.6).
LINGER_SECONDS = 2.0
LINGER_FACTOR = 4
# The connection stops reading from its socket when this many pipelined requests wait for a response.
PAUSE_READING_AT = 4
# One read can contain thousands of small requests, each of which needs many times its size in memory. These limit their number and count
# their memory.
MAX_PIPELINED = 512
REQUEST_BYTES = 1024
# Each response belongs to one customer, so no shared cache may store it.
_NO_STORE = f"cache-control: {PRIVATE}\r\n"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_JSON_STATUS_LINES = {
    status: line + "".join(f"{name}: {value}\r\n" for name, value in JSON_HEADERS) for status, line in _STATUS_LINES.items()
}
# Common header names in lower case, by the bytes that clients send. Decoding a name costs 0.2 us.
_HEADER_NAMES = {
    spelling.encode(): name
    for name in (
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "traceparent",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
    )
    for spelling in (name, name.title())
}
_METHODS = {name.encode(): name for name in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")}


class _LimitExceeded(Exception):
    """Raised in a parser callback to stop parsing. httptools wraps it in `HttpParserCallbackError`."""


class Connection(asyncio.Protocol):
    """Reads the requests of one connection and writes the responses. httptools calls the `on_` methods."""

    __slots__ = (
        "_begun",
        "_body",
        "_charged",
        "_credential",
        "_credential_digest",
        "_digest",
        "_discarded",
        "_failure",
        "_fed",
        "_full",
        "_head",
        "_headers",
        "_headers_read",
        "_on_lost",
        "_parser",
        "_path",
        "_pending",
        "_query",
        "_refusal",
        "_refused",
        "_repeated",
        "_server",
        "_since",
        "_size",
        "_target",
        "_task",
        "_transport",
        "_trust",
        "_unread",
        "_url",
        "_waiting",
        "answering",
    )

    def __init__(self, server: HttpServer, on_lost: Callable[[], None] = lambda: None) -> None:
        """Initialize the connection. `on_lost` is called when the connection ends."""
        self._server, self._on_lost = server, on_lost
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._waiting: deque[HttpRequest] | None = None
        self._task: asyncio.Task[None] | None = None
        self.answering = False
        self._since = server.loop.time()
        self._begun = self._refused = self._full = self._headers_read = False
        self._url = self._target = b""
        self._path = self._query = ""
        self._head = self._size = self._fed = self._unread = self._pending = self._charged = self._discarded = self._failure = 0
        self._repeated: list[tuple[str, str]] | None = None
        self._headers: dict[str, str] = {}
        self._refusal: DomainError | None = None
        self._trust = ClientTrust.UNVERIFIED
        # The verified credential of the last request and its digest, so that the same credential is not hashed again.
        self._credential: str | None = None
        self._credential_digest: bytes | None = None
        # The digest for the request that is being read. The response to an earlier request may change only the two attributes above.
        self._digest: bytes | None = None
        self._body: bytes | bytearray = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server.connections.add(self)
        self._server.unverified[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        # A request that is being answered continues, because its usage may already be counted.
        self._server.connections.discard(self)
        self._server.unverified.pop(self, None)
        self._on_lost()
        self._transport = None
        self._waiting = None
        self._body = b""
        self._head = self._unread = self._pending = 0
        self._account()

    def pause_writing(self) -> None:
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        self._resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def close_if_late(self, now: float) -> None:
        """Close the connection if it exceeds a time limit, or if it is idle while the process ends."""
        if self.answering or self._waiting or self._transport is None:
            return
        seconds = now - self._since
        if self._refused:
            if seconds > LINGER_SECONDS:
                self.abort()
        elif seconds > (BODY_SECONDS if self._headers_read else HEADER_SECONDS) if self._begun else seconds > IDLE_SECONDS:
            if self._full or self._transport.is_closing():
                # The client does not read its responses, so `close` would wait forever to write them.
                self.abort()
            elif self._begun and self._headers_read:
                self._refuse(408)
            else:
                self.close()
        elif self._server.ending:
            self.close()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discard(len(data))
            return
        # The parser buffers incomplete headers, so their size is only known from the bytes that it received.
        self._fed = len(data)
        self._unread += self._fed
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._ignore_upgrade(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._failure or 400)
        else:
            if self._unread > MAX_HEADER_BYTES:
                self._refuse(414 if len(self._url) > MAX_HEADER_BYTES // 2 else 431)
            elif (self._begun or self._charged or self._pending > UNCOUNTED_BYTES) and not self._account():
                self._refuse(503)

    def _account(self) -> bool:
        """Update the process' count of buffered bytes. Return whether the bytes of this connection are within the limit."""
        if self._begun and self._headers_read and not self._head:
            self._head = self._head_size()
        held = self._head + self._unread + len(self._body) + self._pending - UNCOUNTED_BYTES
        charge = max(0, held)
        if charge == self._charged:
            return True
        buffered = self._server.buffered
        buffered[self._trust] += charge - self._charged
        grown, self._charged = charge > self._charged, charge
        return not grown or buffered[self._trust] <= self._trust.value

    def _recognize(self, trust: ClientTrust) -> None:
        if trust is not self._trust:
            self._server.buffered[self._trust] -= self._charged
            self._server.buffered[trust] += self._charged
            self._trust = trust
        if trust is ClientTrust.VERIFIED:
            self._server.unverified.pop(self, None)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_FACTOR * self._server.max_body_bytes:
            self.abort()

    def _ignore_upgrade(self, rest: memoryview) -> None:
        """Parse the request again without `Upgrade`, after which llhttp reads no body. Java's client always sends this header."""
        while True:
            method = self._parser.get_method()
            if method == b"CONNECT":
                raise httptools.HttpParserError("this is no proxy")
            head = bytearray(b"%s %s HTTP/%s\r\n" % (method, self._url, self._parser.get_http_version().encode()))
            repeated = [(name, value) for name, value in self._repeated or () if name in SINGLE_HEADERS]
            for name, value in (*self._headers.items(), *repeated):
                if name not in ("upgrade", "expect"):  # The 100 Continue was already sent.
                    head += f"{name}: {value}\r\n".encode("latin-1")
            self._parser = httptools.HttpRequestParser(self)
            try:
                self._parser.feed_data(head + b"\r\n")
                self._parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]

    def _refuse(self, status: int) -> None:
        """Respond with `status` after the earlier requests are answered. Further data of the client is discarded."""
        self._refused = True
        self._headers, self._repeated, self._body = {}, None, b""
        self._head = self._unread = 0
        self._account()
        if self.answering or self._transport is None:
            return
        self._write(self._server.refuse(status), keep_alive=False, with_body=True)
        self._end_writing()

    def _end_writing(self) -> None:
        if self._begun and self._transport.can_write_eof() and not self._full:
            self._transport.write_eof()
        else:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._begun, self._since = True, self._server.loop.time()
        self._url, self._headers, self._repeated, self._body = b"", {}, None, b""
        self._head = self._size = 0
        self._headers_read = False
        self._refusal = None

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > MAX_HEADER_BYTES:
            self._fail(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        # This runs for each header of each request, so it calls no function in the usual case.
        if self._headers_read:
            # A trailer. It is counted and ignored, because headers that the gate uses must not be sent after the body (RFC 9110, 6.5.1).
            self._head = (self._head or self._head_size()) + len(name) + len(value)
            if self._head > MAX_HEADER_BYTES:
                self._fail(431)
            return
        text = _HEADER_NAMES.get(name) or name.lower().decode("latin-1")
        if text not in self._headers:
            self._headers[text] = value.decode("latin-1")
        elif self._repeated is None:
            self._repeated = [(text, value.decode("latin-1"))]
        else:
            self._repeated.append((text, value.decode("latin-1")))

    def _head_size(self) -> int:
        pairs = (*self._headers.items(), *(self._repeated or ()))
        return len(self._url) + sum(len(name) + len(value) for name, value in pairs)

    def _fail(self, status: int) -> None:
        self._failure = status
        raise _LimitExceeded

    def on_headers_complete(self) -> None:
        # The exact size of the headers is only calculated if the last read, or all unread bytes, exceed the limit. `_account` also
        # calculates it for a request with an incomplete body.
        if self._unread > MAX_HEADER_BYTES or self._fed > MAX_HEADER_BYTES:
            self._head = self._head_size()
            if self._head > MAX_HEADER_BYTES:
                self._fail(431)
        self._headers_read, self._unread = True, 0
        headers = self._headers
        try:
            for name, value in self._repeated or ():
                add_repeated_header(headers, name, value)
            check_request(self._url, headers)
        except DomainError as refusal:
            self._refusal = refusal
            self._recognize(ClientTrust.REFUSED)
        else:
            if "content-length" in headers and int(headers["content-length"]) > self._server.max_body_bytes:
                self._fail(413)
            if self._credential is not None and headers.get("authorization") == self._credential:
                self._digest = self._credential_digest
            else:
                trust, self._digest = self._server.identify(headers)
                self._recognize(trust)
        if "expect" in headers and headers["expect"].lower() == "100-continue" and not self.answering:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        self._unread = 0
        if self._size > self._server.max_body_bytes:
            # The size of a chunked body is not known from its headers.
            self._fail(413)
        if self._trust is ClientTrust.REFUSED:
            return
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return  # `_ignore_upgrade` parses the request again without the upgrade.
        self._begun = False
        if self._url != self._target:
            # Clients usually repeat the same path, so it is only parsed when it changes.
            path, _, self._query = _origin_form(self._url.decode("latin-1")).partition("?")
            self._path = unquote(path) if "%" in path else path
            self._target = self._url
        method = self._parser.get_method()
        headers, body = self._headers, self._body
        request = HttpRequest(
            _METHODS.get(method) or method.decode("latin-1"),
            self._path,
            headers,
            body if isinstance(body, bytes) else bytes(body),
            self._query,
            self._parser.should_keep_alive(),
            self._refusal,
            # An HTTP/1.0 connection is kept alive only if the client sent this header.
            "connection" in headers and self._parser.get_http_version() == "1.0",
            self._digest,
        )
        self._pending += len(request.body) + REQUEST_BYTES
        self._unread = self._head = 0
        self._body = b""
        if self.answering:
            if self._waiting is None:
                self._waiting = deque()
            self._waiting.append(request)
            if len(self._waiting) > MAX_PIPELINED:
                self._fail(503)
            if len(self._waiting) >= PAUSE_READING_AT:
                self._transport.pause_reading()
        else:
            self._start(request)

    def _start(self, request: HttpRequest) -> None:
        self.answering = True
        # The event loop has only weak references to tasks.
        self._task = self._server.loop.create_task(self._answer(request))
        self._server.tasks.add(self._task)

    async def _answer(self, request: HttpRequest) -> None:
        server = self._server
        try:
            response = await server.answer(request)
        finally:
            # A done callback would cost another iteration of the event loop for each request.
            server.tasks.discard(self._task)
            self._task = None
        self.answering = False
        if self._transport is None:
            return
        self._release(request)
        keep_alive = self._keeps_alive(request)
        self._write(response, keep_alive, request.method != "HEAD", request)
        self._continue(keep_alive)

    def _release(self, request: HttpRequest) -> None:
        """Stop counting the bytes of an answered request, and remember its credential if the answer verified it."""
        self._pending -= len(request.body) + REQUEST_BYTES
        if request.verified:
            self._credential, self._credential_digest = request.headers.get("authorization"), request.credential_digest
            if self._trust is not ClientTrust.VERIFIED:
                self._recognize(ClientTrust.VERIFIED)
        else:
            self._credential = None
        if self._charged:
            self._account()

    def _keeps_alive(self, request: HttpRequest) -> bool:
        return request.keep_alive and not self._server.ending and not (self._refused and not self._waiting)

    def _continue(self, keep_alive: bool) -> None:
        """Start the next request, or close the connection."""
        if not keep_alive:
            self._waiting = None
            self._refused = True
            self._end_writing()
        elif self._waiting:
            next_request = self._waiting.popleft()
            self._resume_reading()
            self._start(next_request)

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._full and len(self._waiting or ()) < PAUSE_READING_AT:
            self._transport.resume_reading()

    def _write(self, response: HttpResponse, keep_alive: bool, with_body: bool, request: HttpRequest | None = None) -> None:
        self._since = now = self._server.loop.time()
        headers, body = response.headers, response.body
        if headers is JSON_HEADERS:
            head = _JSON_STATUS_LINES[response.status]
        else:
            head = _STATUS_LINES[response.status]
            for name, value in headers:
                head += f"{name}: {value}\r\n"
        own = f"x-request-id: {request.request_id}\r\n{_NO_STORE}" if request is not None and request.request_id else ""
        if not keep_alive:
            end = "connection: close\r\n\r\n"
        else:
            # An HTTP/1.0 client assumes that the connection closes without this header (RFC 9112, 9.3); `ab -k` depends on it.
            end = "connection: keep-alive\r\n\r\n" if request is not None and request.http_1_0 else "\r\n"
        head = f"{head}{own}content-length: {len(body)}\r\ndate: {self._server.date(now)}\r\n{end}"
        self._transport.write(head.encode("latin-1", "replace") + body if with_body else head.encode("latin-1", "replace"))


def _origin_form(target: str) -> str:
    """Return the path and query of a request target, which may be an absolute URI (RFC 9112, 3.2.2)."""
    if target.startswith("/"):
        return target
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return target
    start = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    return rest[start:] if rest[start : start + 1] == "/" else f"/{rest[start:]}"
