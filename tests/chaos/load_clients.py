"""Concurrent clients with a connection each, which repeat their calls at any server that is up until they get a response."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.api import credentials

AGAIN = {500, 502, 503}


@dataclass(frozen=True)
class Call:
    """One call. `name` is its idempotency key."""

    path: str
    body: Any
    name: str | None = None


@dataclass
class LoadClients:
    """The responses by name, the number of repeats, and responses that no client may get."""

    answers: dict[str | None, list[tuple[int, Any]]] = field(default_factory=dict)
    answered: int = 0
    again: int = 0
    odd: list[str] = field(default_factory=list)

    def granted(self) -> dict[str | None, list[Any]]:
        matches = {name: [output for status, output in all_ if status == 200] for name, all_ in self.answers.items()}
        return {name: output for name, output in matches.items() if output}


def ask(
    ports: Sequence[int],
    key: str,
    calls: Iterable[Call],
    *,
    clients: int,
    timeout: float,
    on_answer: Callable[[int], None] = lambda number: None,
) -> LoadClients:
    """Send all `calls` by this many clients, which start together. `on_answer` is called with every response, in the event loop."""
    expected = list(calls)
    # Read here, because the event loop must not wait for the database.
    heads = {path: _head(path, key) for path in {call.path for call in expected}}
    return asyncio.run(_ask(list(ports), heads, expected, clients, timeout, on_answer))


def _head(path: str, key: str) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in credentials(path, key).items())


async def _ask(
    ports: list[int], heads: dict[str, str], calls: list[Call], clients: int, timeout: float, on_answer: Callable[[int], None]
) -> LoadClients:
    crowd, waiting, gun = LoadClients(), iter(calls), asyncio.Event()
    until = time.monotonic() + timeout

    async def client(number: int) -> None:
        line = _Line(ports, number, heads)
        await line.ready()
        await gun.wait()
        for call in waiting:
            status, output = await line.answered(call, until, crowd)
            crowd.answers.setdefault(call.name, []).append((status, output))
            crowd.answered += 1
            on_answer(crowd.answered)
        line.close()

    tasks = [asyncio.create_task(client(number)) for number in range(min(clients, len(calls)))]
    await asyncio.sleep(0.2)
    gun.set()
    await asyncio.gather(*tasks)
    return crowd


class _Line:
    """The connection of one client, to one server after the other."""

    def __init__(self, ports: list[int], turn: int, heads: dict[str, str]) -> None:
        self.ports, self.turn, self.heads = ports, turn, heads
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ready(self) -> None:
        try:
            self.streams = await asyncio.open_connection("127.0.0.1", self.ports[self.turn % len(self.ports)])
        except OSError:
            self.close()

    def close(self) -> None:
        if self.streams:
            self.streams[1].close()
        self.streams = None

    async def answered(self, call: Call, until: float, crowd: LoadClients) -> tuple[int, Any]:
        while time.monotonic() < until:
            try:
                async with asyncio.timeout(15):
                    status, output = await self._exchange(call)
            except (OSError, EOFError, TimeoutError, ValueError, IndexError):
                status, output = 503, None
            if status not in AGAIN:
                return status, output
            if status != 503:
                crowd.odd.append(f"{call.path} answered {status}: {output}")
            crowd.again += 1
            self.close()
            self.turn += 1
            await asyncio.sleep(0.05)
        raise AssertionError(f"no server answered {call}")

    async def _exchange(self, call: Call) -> tuple[int, Any]:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.ports[self.turn % len(self.ports)])
        reader, writer = self.streams
        body = json.dumps(call.body).encode()
        name = f"idempotency-key: {call.name}\r\n" if call.name else ""
        head = f"POST {call.path} HTTP/1.1\r\nhost: localhost\r\n{self.heads[call.path]}"
        writer.write(f"{head}{name}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        top = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(top.split("content-length:", 1)[1].split("\r\n", 1)[0])
        output = await reader.readexactly(length)
        if "connection: close" in top:
            self.close()
        return int(top.split(" ", 2)[1]), json.loads(output)
