"""Clients that call tools with every outcome through several gateways, and count what they saw. Used by tests and by the soak run."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.gateway.conftest import Upstream

VERSIONS = ("2025-11-25", "2026-07-28")
# How often each outcome is tried. A call of `leave` hangs, and its client disconnects; one of `hang` waits for the gateway's timeout.
WEIGHTS = {
    "succeed": 40, "stream_quickly": 10, "require_input": 8, "fail": 8, "fail_in_stream": 4, "raise_error": 8, "refuse_parameters": 4,
    "answer_another": 3, "send_garbage": 3, "send_no_http": 2, "fail_with_500": 3, "close_mid_stream": 3, "end_without_answer": 3,
    "leave": 6, "hang": 1, "die": 0.3,
}  # fmt: skip
LEAVE_SECONDS = 0.05
CALL_SECONDS = 60


@dataclass
class Totals:
    """The results that the clients received. `unknown` calls lost their connection, so only the server knows their outcome."""

    calls: int = 0
    successes: int = 0
    # Successes by the URL of the gateway.
    by_url: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unknown: int = 0
    restarts: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    # Answers that no outcome explains, such as HTTP 500.
    wrong: list[str] = field(default_factory=list)


class Client:
    """Calls tools with one key. Its connections are shared by all calls."""

    def __init__(self, session: aiohttp.ClientSession, key: str, totals: Totals) -> None:
        self._session, self._key, self._totals = session, key, totals

    async def call(self, url: str, tool: str, version: str = VERSIONS[-1], **params: object) -> dict[str, Any] | None:
        """Return the result of a call, or None without one."""
        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version}
        if version == VERSIONS[-1]:
            headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}, **params}}
        self._totals.calls += 1
        try:
            async with self._session.post(url, json=message, headers=headers) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            self._totals.unknown += 1
            return None
        if answer.status >= 500:
            self._totals.wrong.append(f"{tool}: {answer.status} {text[:200]}")
            return None
        if answer.content_type == "text/event-stream":
            text = next((line[6:] for line in reversed(text.splitlines()) if line.startswith("data: ")), "{}")
        result: dict[str, Any] | None = json.loads(text).get("result")
        if result is not None and not result.get("isError") and result.get("resultType") != "input_required":
            self._totals.successes += 1
            self._totals.by_url[url] += 1
        elif result is not None and "code" in (result.get("structuredContent") or {}):
            self._totals.refused += 1
        return result

    async def play(self, url: str, outcome: str, version: str) -> None:
        """Make the call or calls that lead to an outcome."""
        self._totals.outcomes[outcome] += 1
        if outcome == "leave":
            with suppress(TimeoutError):
                # There is never a response, so this call cannot succeed.
                await asyncio.wait_for(self.call(url, "hang", version), LEAVE_SECONDS)
        elif outcome == "require_input":
            first = await self.call(url, outcome, version)
            if first is not None and first.get("resultType") == "input_required":
                await self.call(url, outcome, version, inputResponses={})
        else:
            await self.call(url, outcome, version)


def run_at_once(urls: Sequence[str], key: str, calls: int, tool: str = "succeed", interrupt: Callable[[], None] | None = None) -> Totals:
    """Make all calls at once, one gateway after the other.

    With `interrupt`, a third of the calls is made first. The function runs during the second third, and the rest follows.
    """
    totals = Totals()

    async def main() -> None:
        async with _session() as session:
            client = Client(session, key, totals)

            def start(numbers: range) -> list[asyncio.Task[Any]]:
                return [asyncio.create_task(client.call(urls[number % len(urls)], tool)) for number in numbers]

            if interrupt is None:
                await asyncio.gather(*start(range(calls)))
                return
            await asyncio.gather(*start(range(calls // 3)))
            middle = start(range(calls // 3, 2 * calls // 3))
            await asyncio.wait(middle, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(interrupt)
            await asyncio.gather(*middle, *start(range(2 * calls // 3, calls)))

    asyncio.run(main())
    return totals


def run_mixed(urls: Sequence[str], key: str, rounds: int, upstream: Upstream, *, at_once: int, seed: int = 1) -> Totals:
    """Make calls with random outcomes. The server is killed and restarted from time to time."""
    totals, chance = Totals(), random.Random(seed)
    outcomes = list(WEIGHTS)
    # Every outcome is there in a short run too.
    plan = outcomes + chance.choices(outcomes, list(WEIGHTS.values()), k=max(0, rounds - len(outcomes)))
    chance.shuffle(plan)
    queue = iter([(outcome, chance.choice(urls), chance.choice(VERSIONS)) for outcome in plan])

    async def main() -> None:
        async with _session() as session:
            client = Client(session, key, totals)

            async def worker() -> None:
                for outcome, url, version in queue:
                    # While the server is away, all calls would fail alike, and at once.
                    await serving.wait()
                    await client.play(url, outcome, version)

            serving = asyncio.Event()
            reviving = asyncio.create_task(revive(serving))
            await asyncio.gather(*(worker() for _ in range(at_once)))
            reviving.cancel()

    async def revive(serving: asyncio.Event) -> None:
        while True:
            if upstream.process.poll() is not None:
                serving.clear()
                totals.restarts += 1
                await asyncio.to_thread(upstream.start)
            serving.set()
            await asyncio.sleep(0.01)

    asyncio.run(main())
    return totals


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=CALL_SECONDS))
