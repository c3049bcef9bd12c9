"""A connection to Valkey that sends what all waiting requests ask in one write and matches the answers in order."""

import asyncio
from collections import deque
from contextlib import suppress
from hashlib import sha1
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

SECONDS = 0.5
RETRY_SECONDS = 0.5


class Unavailable(Exception):
    """Valkey cannot be reached, or does not answer in time."""


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reader = hiredis.Reader()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._answered = 0
        self._watched = False
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Other event loops' transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(Unavailable("the connection was lost"))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            self._answered += 1
            if not self._waiting:
                # Nobody asked: so it says that it has too many clients, before it hangs up.
                self.close()
                return
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(answer)

    def send(self, *words: Any) -> "asyncio.Future[Any]":
        if self.closed:
            # Whoever waits there now would wait for ever.
            raise Unavailable("the connection was lost")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._out:
            # Whatever else is asked in this turn of the loop goes with it.
            loop.call_soon(self._flush)
        if not self._watched:
            self._arm()
        self._waiting.append(future)
        self._out.append(hiredis.pack_command(words))
        return future

    def _watch(self, answered: int) -> None:
        """One timer for all that wait: where nothing was answered since it was set, nothing will be."""
        self._watched = False
        if self.closed or not self._waiting:
            return
        if self._answered == answered:
            self.close()
        else:
            self._arm()

    def _arm(self) -> None:
        self._watched = True
        asyncio.get_running_loop().call_later(SECONDS, self._watch, self._answered)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and not self.closed:
            self._transport.write(b"".join(out))

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()


class Valkey:
    """Scripts, by their text. After a failure nothing is tried for half a second, so that an outage costs nobody a wait."""

    def __init__(self, address: str) -> None:
        self._address = urlsplit(address)
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
        self._down_until = 0.0

    async def script(self, text: str, keys: list[str], values: list[int]) -> Any:
        """Its answer. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._down_until:
            raise Unavailable("down a moment ago")
        try:
            connection = self._connection
            if connection is None or connection.closed:
                connection = await asyncio.wait_for(asyncio.shield(self._connected()), SECONDS)
            words = [len(keys), *keys, *values]
            answer = await connection.send(b"EVALSHA", _digest(text), *words)
            if isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT"):
                answer = await connection.send(b"EVAL", text, *words)
        except (OSError, TimeoutError, Unavailable) as error:
            self._fail()
            raise Unavailable(type(error).__name__) from None
        if isinstance(answer, hiredis.ReplyError):
            raise Unavailable(str(answer))
        return answer

    def _fail(self) -> None:
        self._down_until = asyncio.get_running_loop().time() + RETRY_SECONDS
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> "asyncio.Task[_Connection]":
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add_done_callback(self._forget)
        return self._connecting

    def _forget(self, task: "asyncio.Task[_Connection]") -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()

    async def _connect(self) -> _Connection:
        loop, address = asyncio.get_running_loop(), self._address
        if address.scheme == "unix":
            _, connection = await loop.create_unix_connection(_Connection, unquote(address.path))
        else:
            secure = True if address.scheme == "rediss" else None
            _, connection = await loop.create_connection(_Connection, address.hostname or "localhost", address.port or 6379, ssl=secure)
        if address.password:
            user = [unquote(address.username)] if address.username else []
            _sound(await connection.send(b"AUTH", *user, unquote(address.password)))
        if database := _database(address.path if address.scheme != "unix" else "", address.query):
            _sound(await connection.send(b"SELECT", database))
        self._connection = connection
        return connection


def _sound(answer: Any) -> None:
    if isinstance(answer, hiredis.ReplyError):
        raise Unavailable(str(answer))


def _database(path: str, query: str) -> int:
    said = parse_qs(query).get("db", [path.strip("/")])[0]
    with suppress(ValueError):
        return int(said)
    return 0


_digests: dict[str, str] = {}


def _digest(text: str) -> str:
    found = _digests.get(text)
    if found is None:
        found = _digests[text] = sha1(text.encode(), usedforsecurity=False).hexdigest()
    return found
