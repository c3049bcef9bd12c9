"""Run scripts in Valkey over one connection, with the calls of all waiting requests in one write.

A client with a connection pool writes and reads each call separately, which takes ten times the CPU (ADR-019).
"""

import asyncio
from collections import deque
from hashlib import sha1
from typing import Any, cast

import hiredis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from contextmcp.settings.addresses import redis_connection

TIMEOUT_SECONDS = 0.5
RETRY_SECONDS = 0.5


class Unavailable(Exception):
    """Valkey cannot be reached or does not respond in time."""


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reader = hiredis.Reader()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._answered = 0
        self._timeout_started = False
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Transports of other event loops are not subclasses of asyncio's.
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
                # A reply without a request: Valkey refuses the connection (too many clients) and then closes it.
                self.close()
                return
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(answer)

    def send(self, *command: Any) -> "asyncio.Future[Any]":
        if self.closed:
            # Requests that wait on this connection would never be answered.
            raise Unavailable("the connection was lost")
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._out:
            # All commands of this iteration of the event loop are written together.
            loop.call_soon(self._flush)
        if not self._timeout_started:
            self._start_timeout()
        self._waiting.append(future)
        self._out.append(hiredis.pack_command(command))
        return future

    def _on_timeout(self, answered: int) -> None:
        """Close the connection if no reply has arrived since the timer started. One timer serves all waiting commands."""
        self._timeout_started = False
        if self.closed or not self._waiting:
            return
        if self._answered == answered:
            self.close()
        else:
            self._start_timeout()

    def _start_timeout(self) -> None:
        self._timeout_started = True
        asyncio.get_running_loop().call_later(TIMEOUT_SECONDS, self._on_timeout, self._answered)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and not self.closed:
            self._transport.write(b"".join(out))

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()


class ValkeyClient:
    """Runs Lua scripts. After a failure it does not connect for half a second, so that an outage does not delay requests."""

    def __init__(self, address: str) -> None:
        self._address = redis_connection(address)
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
        self._down_until = 0.0

    async def eval_script(self, text: str, keys: list[str], values: list[int]) -> Any:
        """Return the reply of the Lua script `text`. Raises `Unavailable`, also for an error reply."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._down_until:
            raise Unavailable("it failed less than half a second ago")
        try:
            connection = self._connection
            if connection is None or connection.closed:
                connection = await asyncio.wait_for(
                    asyncio.shield(self._connected()), self._address.socket_connect_timeout or TIMEOUT_SECONDS
                )
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
        if isinstance(address, UnixDomainSocketConnection):
            _, connection = await loop.create_unix_connection(_Connection, address.path)
        else:
            secure = address.ssl_context.get() if isinstance(address, SSLConnection) else None
            _, connection = await loop.create_connection(_Connection, address.host, int(address.port), ssl=secure)
        if address.password:
            user = [address.username] if address.username else []
            _check(await connection.send(b"AUTH", *user, address.password))
        if address.client_name:
            _check(await connection.send(b"CLIENT", b"SETNAME", address.client_name))
        if address.db:
            _check(await connection.send(b"SELECT", str(address.db)))
        self._connection = connection
        return connection


def _check(answer: Any) -> None:
    if isinstance(answer, hiredis.ReplyError):
        raise Unavailable(str(answer))


_digests: dict[str, str] = {}


def _digest(text: str) -> str:
    digest = _digests.get(text)
    if digest is None:
        digest = _digests[text] = sha1(text.encode(), usedforsecurity=False).hexdigest()
    return digest
