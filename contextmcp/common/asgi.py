"""Serve the WSGI application behind an event loop, so that slow clients do not occupy threads.

The event loop reads the complete request body, within a size and a time limit, before one of a fixed number of threads runs Django.
A slow client therefore never occupies a thread, and a body with `Transfer-Encoding: chunked` reaches Django like any other. (WSGI
itself only supports `Content-Length`.)
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
from .errors import DomainError, Overloaded, PayloadTooLarge, RequestTimeout
from .http_rules import check_request, combine_headers
from .middleware import choose_request_id

log = logging.getLogger(__name__)
BODY_SECONDS = 30.0
# How long a client may take to accept a part of a streamed response.
SEND_SECONDS = 30.0
# A larger body is stored in a temporary file.
BODY_IN_MEMORY_BYTES = 64 * 1024
# Maximum number of bodies that one process receives concurrently, and of requests that wait for a thread.
MAX_BODIES = 1024
MAX_QUEUED = 1024
# A body of up to this many times the limit is read and discarded, so that a client that is still sending receives the error.
DISCARD_FACTOR = 4

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
WSGI = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[int, list[tuple[str, str]], bytes]


class Disconnected(Exception):
    """The client disconnected before its body was complete."""


class Bridge:
    """An ASGI application that runs a WSGI application in `threads` threads. `body_limit` is the maximum body size in bytes."""

    def __init__(self, application: WSGI, *, threads: int, body_limit: int) -> None:
        self._application, self._body_limit = application, body_limit
        self._threads = ThreadPoolExecutor(threads, "web")
        self._reading = self._queued = 0
        self._max_queued = threads + MAX_QUEUED

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/livez":
            # Independent of host, scheme and load: the probe checks that the process runs, not that a thread is free.
            headers = [("content-type", "application/json"), ("x-request-id", _request_id(scope))]
            status, body = 200, b'{"status": "ok"}'
        else:
            try:
                answer = await self._answer(scope, receive, send)
            except Disconnected:
                return
            except DomainError as refusal:
                answer = _refused(refusal, scope)
            if answer is None:
                return
            status, headers, body = answer
        await _send(send, status, headers, body)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """Return the response, or None if it was streamed."""
        headers = _check_head(scope)
        length = headers.get("content-length", "0")
        if int(length) > self._body_limit:
            raise PayloadTooLarge
        with SpooledTemporaryFile(BODY_IN_MEMORY_BYTES) as body:
            size = 0
            if length != "0" or "transfer-encoding" in headers:
                size = await self._read(receive, body)
            if self._queued >= self._max_queued:
                raise Overloaded
            environ = _environ(scope, headers, body, size)
            self._queued += 1
            try:
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, self._run, environ, _Stream(loop, send))
            finally:
                self._queued -= 1

    async def _read(self, receive: Receive, body: Any) -> int:
        """Write the complete request body to `body` and return its size in bytes."""
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

    def _run(self, environ: dict[str, Any], stream: "_Stream") -> Answer | None:
        """Run the WSGI application in a thread. Return its response, or stream it and return None if its length is not known."""
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started[:] = [(status, headers)]

        parts = self._application(environ, start_response)
        try:
            # A generator may call `start_response` only when its first part is requested (PEP 3333).
            content = iter(parts)
            first = next(content, b"")
            status, headers = int(started[0][0][:3]), started[0][1]
            if any(name.lower() == "content-length" for name, _ in headers) or status in (204, 304):
                return status, headers, first + b"".join(content)
            stream.send_all(status, headers, first, content)
            return None
        finally:
            if hasattr(parts, "close"):
                parts.close()


class _Stream:
    """Sends a response from a thread, part by part. The next part is generated after the server has accepted the previous one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Send) -> None:
        self._loop, self._send = loop, send

    def send_all(self, status: int, headers: list[tuple[str, str]], first: bytes, others: Iterable[bytes]) -> None:
        """Send the complete response. Raises `TimeoutError` if the client does not accept a part within SEND_SECONDS."""
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._wait({"type": "http.response.start", "status": status, "headers": raw})
        self._wait({"type": "http.response.body", "body": first, "more_body": True})
        for part in others:
            self._wait({"type": "http.response.body", "body": part, "more_body": True})
        self._wait({"type": "http.response.body", "body": b""})

    def _wait(self, message: MutableMapping[str, Any]) -> None:
        async def sent() -> None:
            await self._send(message)

        sending = asyncio.run_coroutine_threadsafe(sent(), self._loop)
        try:
            sending.result(SEND_SECONDS)
        except TimeoutError:
            sending.cancel()
            raise


def _check_head(scope: Scope) -> dict[str, str]:
    headers = combine_headers(scope["headers"])
    check_request(scope["raw_path"], headers)
    return headers


def _environ(scope: Scope, headers: dict[str, str], body: Any, size: int) -> dict[str, Any]:
    """Return the WSGI environment of the request (PEP 3333)."""
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
        # CGI names do not distinguish `_` from `-`: `X_Forwarded_For` would pass as the header that a proxy sets.
        if "_" not in name:
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(size)
    return environ


def _request_id(scope: Scope) -> str:
    return choose_request_id(_header(scope, b"x-request-id"))


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for each, value in scope["headers"] if each == name), "")


def _refused(refusal: DomainError, scope: Scope) -> Answer:
    """Return the error response. It closes the connection, because the unread rest of the body is not a request."""
    accept = _header(scope, b"accept")
    answer = problems.before_django(refusal, scope["path"], accept, _request_id(scope))
    return answer.status_code, [*answer.items(), ("connection", "close")], answer.content


async def _send(send: Send, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"content-length" for name, _ in raw) and status not in (204, 304):
        raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
