"""HTTP/1.1 on the event loop: llhttp reads, one thread answers. A fifth of what a server costs that hands each request to another thread.

Only for what the gate needs: small requests and answers, kept connections, one answer at a time on each of them.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from msgspec import Struct

Headers = list[tuple[str, str]]
# Of one request's line and headers.
MOST_HEAD = 64 * 1024
# A connection on which nothing happens, or on which a request does not come to its end, is closed after so long.
IDLE_SECONDS = 75.0
SLOW_SECONDS = 30.0
SWEEP_SECONDS = 5.0
# What a client sends beyond this while an answer is awaited has to wait in its socket.
MOST_WAITING = 4
_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Asked(Struct):
    """A request. Its body is what fits; `too_large` says that there was more."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    query: str = ""
    too_large: bool = False
    keep_alive: bool = True


class Reply(Struct):
    status: int
    headers: Headers
    body: bytes


class Site:
    """What all connections share: who answers, and when to end."""

    def __init__(self, answer: Callable[[Asked], Awaitable[Reply]], refuse: Callable[[int], Reply], most_bytes: int) -> None:
        """`refuse` words what cannot even be read: 400, 413 or 431."""
        self.answer, self.refuse, self.most_bytes = answer, refuse, most_bytes
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.ending = False
        self.sweep()

    def sweep(self) -> None:
        """Once for all connections; also the date that all answers of the second bear is made anew when it is asked for."""
        now = self.loop.time()
        for connection in list(self.connections):
            connection.look(now)
        if not self.ending:
            self.loop.call_later(SWEEP_SECONDS, self.sweep)

    def date(self, now: float) -> str:
        if now >= self._date_until:
            self._date, self._date_until = formatdate(usegmt=True), now + 1.0
        return self._date

    _date, _date_until = "", 0.0

    async def end(self, patience: float) -> None:
        """Answer what was asked, then close."""
        self.ending = True
        for connection in list(self.connections):
            connection.look(self.loop.time())
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=patience)
        for connection in list(self.connections):
            connection.close()


class Connection(asyncio.Protocol):
    """One client's. httptools calls the `on_` methods."""

    def __init__(self, site: Site, left: Callable[[], None] = lambda: None) -> None:
        """`left` is called when it is gone."""
        self._site, self._left = site, left
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._waiting: deque[Asked] = deque()
        self._answering = False
        self._since = site.loop.time()
        self._begun = self._refused = self._full = False
        self._url = b""
        self._head = self._size = self._unread = 0
        self._headers: dict[str, str] = {}
        self._headers_read = False
        self._body: bytes | bytearray = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._site.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        # What is under way goes on: it may be counted already.
        self._site.connections.discard(self)
        self._left()
        self._transport = None
        self._waiting.clear()

    def pause_writing(self) -> None:
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        self._read_on()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def look(self, now: float) -> None:
        """Whether it is time to close."""
        if self._answering or self._waiting:
            return
        late = now - self._since > (SLOW_SECONDS if self._begun else IDLE_SECONDS)
        if late and self._transport is not None and (self._full or self._transport.is_closing()):
            # It does not read its answers, so that they would never all be written.
            self._transport.abort()
        elif late or self._site.ending:
            self.close()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        # The parser keeps a header to itself until it is whole, and so does not tell how long it has grown.
        self._unread += len(data)
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offered:
                self._decline(memoryview(data)[offered.args[0] :])
        except httptools.HttpParserError:
            self._refuse(431 if self._head > MOST_HEAD else 413 if self._size > self._site.most_bytes else 400)
        else:
            if self._unread > MOST_HEAD:
                self._refuse(431)

    def _decline(self, rest: memoryview) -> None:
        """Read on as if no other protocol had been offered: the parser leaves even a body to that one. Java's client always offers one."""
        while True:
            method = self._parser.get_method()
            if method == b"CONNECT":
                raise httptools.HttpParserError("this is no proxy")
            head = bytearray(b"%s %s HTTP/%s\r\n" % (method, self._url, self._parser.get_http_version().encode()))
            for name, value in self._headers.items():
                if name not in ("upgrade", "expect"):  # What it expects, it was told.
                    head += f"{name}: {value}\r\n".encode("latin-1")
            self._parser = httptools.HttpRequestParser(self)
            try:
                self._parser.feed_data(head + b"\r\n")
                self._parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as offered:
                rest = rest[offered.args[0] :]

    def _refuse(self, status: int) -> None:
        """What cannot be read cannot be answered in order either; what came before it is."""
        self._refused = True
        if self._answering:
            return
        if self._transport is not None:
            self._write(self._site.refuse(status), keep_alive=False, body=True)
            self._transport.close()

    def on_message_begin(self) -> None:
        self._begun, self._since = True, self._site.loop.time()
        self._url, self._headers, self._body = b"", {}, b""
        self._head = self._size = 0
        self._headers_read = False

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._grown(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grown(len(name) + len(value))
        if self._headers_read:
            return  # Behind a body: nothing that we go by may stand there (RFC 9110, 6.5.1).
        # The first of several counts.
        self._headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))

    def _grown(self, size: int) -> None:
        self._head += size
        if self._head > MOST_HEAD:
            raise _TooMuch

    def on_headers_complete(self) -> None:
        self._headers_read, self._unread = True, 0
        if self._headers.get("expect", "").lower() == "100-continue" and not self._answering:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        self._unread = 0
        if self._size <= self._site.most_bytes:
            if not self._body:
                self._body = body
            else:
                if isinstance(self._body, bytes):
                    self._body = bytearray(self._body)
                self._body += body
        elif self._size > 4 * self._site.most_bytes:
            # Somewhat too much is read and thrown away, so that the refusal reaches a client that is still sending. This is not somewhat.
            raise _TooMuch

    def on_message_complete(self) -> None:
        if self._parser.should_upgrade():
            return  # It comes again, without the offer.
        self._begun = False
        self._unread = 0
        path, _, query = self._url.decode("latin-1").partition("?")
        asked = Asked(
            self._parser.get_method().decode("latin-1"),
            unquote(path) if "%" in path else path,
            self._headers,
            bytes(self._body),
            query,
            self._size > self._site.most_bytes,
            self._parser.should_keep_alive(),
        )
        if self._answering:
            self._waiting.append(asked)
            if len(self._waiting) >= MOST_WAITING:
                self._transport.pause_reading()
        else:
            self._start(asked)

    def _start(self, asked: Asked) -> None:
        self._answering = True
        task = self._site.loop.create_task(self._answer(asked))
        self._site.tasks.add(task)
        task.add_done_callback(self._site.tasks.discard)

    async def _answer(self, asked: Asked) -> None:
        reply = await self._site.answer(asked)
        self._answering = False
        if self._transport is None:
            return
        keep_alive = asked.keep_alive and not self._site.ending and not (self._refused and not self._waiting)
        self._write(reply, keep_alive=keep_alive, body=asked.method != "HEAD")
        if not keep_alive:
            self._transport.close()
        elif self._waiting:
            following = self._waiting.popleft()
            self._read_on()
            self._start(following)

    def _read_on(self) -> None:
        if self._transport is not None and not self._full and len(self._waiting) < MOST_WAITING:
            self._transport.resume_reading()

    def _write(self, reply: Reply, *, keep_alive: bool, body: bool) -> None:
        self._since = now = self._site.loop.time()
        head = _LINES[reply.status]
        for name, value in reply.headers:
            head += f"{name}: {value}\r\n"
        end = "\r\n" if keep_alive else "connection: close\r\n\r\n"
        head += f"content-length: {len(reply.body)}\r\ndate: {self._site.date(now)}\r\n{end}"
        whole = head.encode("latin-1", "replace")
        self._transport.write(whole + reply.body if body else whole)


class _TooMuch(Exception):
    """Ends the reading of a request; httptools wraps it."""
