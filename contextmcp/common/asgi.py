"""Serve the WSGI application behind an event loop, so that slow clients occupy no thread.

The event loop reads each request body whole, within a size and a time limit, before one of a fixed number of threads runs Django. A client
that sends slowly therefore never holds a thread, and `Transfer-Encoding: chunked` reaches Django like any other body. (WSGI itself knows
bodies by `Content-Length` alone.)
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from tempfile import SpooledTemporaryFile
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

from . import problems
from .errors import DomainError, MalformedRequest, NotFound, Overloaded, PayloadTooLarge, RequestTimeout, UnsupportedMediaType

log = logging.getLogger(__name__)
BODY_SECONDS = 30.0
# A larger body waits in a temporary file.
BODY_IN_MEMORY_BYTES = 64 * 1024
# Bodies that one process receives at a time, and requests that wait for one of its threads.
MAX_BODIES = 1024
MAX_QUEUED = 1024
# An excess of up to this many times the limit is read and discarded, so that a client that is still sending receives the refusal.
DISCARD_FACTOR = 4
# A client and a proxy may each believe a different one of two.
SINGLE_HEADERS = frozenset([b"host", b"authorization", b"content-type", b"content-length", b"idempotency-key", b"stripe-signature"])

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[int, list[tuple[str, str]], bytes]


class Disconnected(Exception):
    """The client left before its body was complete."""


class Bridge:
    """An ASGI application that runs a WSGI application in `threads` threads; bodies have at most `body_limit` bytes."""

    def __init__(self, application: WSGI, *, threads: int, body_limit: int) -> None:
        self._application, self._body_limit = application, body_limit
        self._threads = ThreadPoolExecutor(threads, "web")
        self._reading = self._queued = 0
        self._max_queued = threads + MAX_QUEUED

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/livez":
            # Answered here, whatever host, scheme or load: a probe tells whether the process runs, not whether a thread is free.
            status, headers, body = 200, [("content-type", "application/json")], b'{"status": "ok"}'
        else:
            try:
                status, headers, body = await self._answer(scope, receive)
            except Disconnected:
                return
            except DomainError as refusal:
                status, headers, body = _refused(refusal)
        await _send(send, status, headers, body)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        headers = _check_head(scope)
        length = headers.get(b"content-length", b"0")
        if int(length) > self._body_limit:
            raise PayloadTooLarge
        with SpooledTemporaryFile(BODY_IN_MEMORY_BYTES) as body:
            size = 0
            if length != b"0" or b"transfer-encoding" in headers:
                size = await self._read(receive, body)
            if self._queued >= self._max_queued:
                raise Overloaded
            environ = _environ(scope, headers, body, size)
            self._queued += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, environ)
            finally:
                self._queued -= 1

    async def _read(self, receive: Receive, body: Any) -> int:
        """Write the whole body to `body`; return its size in bytes."""
        if self._reading >= MAX_BODIES:
            raise Overloaded
        self._reading += 1
        try:
            async with asyncio.timeout(BODY_SECONDS):
                size = await self._copy(receive, body)
        except TimeoutError:
            raise RequestTimeout from None
        finally:
            self._reading -= 1
        if size > self._body_limit:
            raise PayloadTooLarge
        body.seek(0)
        return size

    async def _copy(self, receive: Receive, body: Any) -> int:
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if size <= self._body_limit:
                body.write(part)
            elif size > DISCARD_FACTOR * self._body_limit:
                return size
            if not message.get("more_body"):
                return size

    def _run(self, environ: dict[str, Any]) -> Answer:
        """Run in a thread: the application's whole answer."""
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [(status, headers)]

        parts = self._application(environ, start_response)
        try:
            content = b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        status, headers = started[0]
        return int(status[:3]), headers, content


def _check_head(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers, repeated ones joined. Refuse what the web and the gate could read differently."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in headers:
            if name in SINGLE_HEADERS:
                raise MalformedRequest(f"The header {name.decode()} may be sent only once.")
            headers[name] += (b"; " if name == b"cookie" else b",") + value
        else:
            headers[name] = value
    if not headers.get(b"host") and scope["http_version"] != "1":
        raise MalformedRequest("The request needs a Host header.")
    if not headers.get(b"content-length", b"0").isdigit():
        raise MalformedRequest("Content-Length is not a number.")
    if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    if b"%2f" in scope["raw_path"].lower():
        # No address here has an encoded slash in it; read as a slash, it would pass a proxy's rules for another address.
        raise NotFound
    return headers


def _environ(scope: Scope, headers: dict[bytes, bytes], body: Any, size: int) -> dict[str, Any]:
    """The request as PEP 3333 has it."""
    server = scope.get("server") or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": "HTTP/1.0" if scope["http_version"] == "1" else "HTTP/1.1",
        "REMOTE_ADDR": scope["client"][0] if scope.get("client") else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    for name, value in headers.items():
        # CGI cannot tell `_` from `-`: a name with `_` would pass for a header that a proxy sets.
        if b"_" not in name:
            environ["HTTP_" + name.decode("latin-1").upper().replace("-", "_")] = value.decode("latin-1")
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(size)
    return environ


def _refused(refusal: DomainError) -> Answer:
    """A refusal before the body was read whole also ends the connection: what follows on it is not a request."""
    answer = problems.response(refusal)
    return answer.status_code, [*answer.items(), ("connection", "close")], answer.content


async def _send(send: Send, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"content-length" for name, _ in raw) and status not in (204, 304):
        raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
