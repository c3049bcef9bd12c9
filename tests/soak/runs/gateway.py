"""Call tools through two gateways with every outcome, with a limit, with kills and over long streams: each success is charged once."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from accounts.models import Organization
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.usage import UsageCounterFactory, subscribe
from tests.gateway.conftest import PRICES, TOOLS, GatewayProcess, McpClient, Upstream
from tests.gateway.outcomes import run_at_once, run_mixed
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options, say
from tests.support.gates import GateProcess, running
from tests.support.workers import until
from usage.models import UsageCounter, UsageEvent, UsageHold
from usage.store.holds import expire_due

MIXED, CALLS, LEFT, KILLS = 10_000, 1_000, 300, 10
AT_ONCE = 100
HOLD_SECONDS, TIMEOUT_SECONDS = 5, 2
STREAMS, STREAM_MINUTES = 50, 10.0
# Memory of a gateway after the first tenth of the streams' time, compared with the end.
WORST_GROWTH = 1.1
LIMIT = 1_000_000


def run(options: Options) -> Figures:
    figures = Figures()
    with services.database(), Upstream() as upstream, _gateways(upstream) as gateways:
        _mixed(figures, options, gateways.urls, upstream)
        _limited(figures, options, gateways.urls)
        _killed(figures, options, gateways)
        _streams(figures, options, gateways)
        connections = max(_connections(process, upstream.port) for process in gateways.processes)
        figures.at_most("connections to the server that a gateway keeps", connections, CALLS)
    return figures


@dataclass
class Gateways:
    """Two gateways, the first of which can be killed."""

    processes: list[GateProcess]
    environment: dict[str, Any]

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{process.port}/mcp" for process in self.processes]

    def revive(self) -> None:
        """Start a gateway in the place of the killed one, on its port."""
        self.processes[0] = GatewayProcess(port=self.processes[0].port, **self.environment).wait()


@contextmanager
def _gateways(upstream: Upstream) -> Iterator[Gateways]:
    price = f'{{ feature = "sessions", hold_seconds = {HOLD_SECONDS} }}'
    prices = PRICES.format(port=upstream.port, tools="\n".join(f"{tool} = {price}" for tool in TOOLS))
    prices = prices.replace('default = "deny"', f'default = "deny"\ntimeout_seconds = {TIMEOUT_SECONDS}')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pricing.toml"
        path.write_text(prices)
        environment = {"MCP_PRICING_FILE": str(path), "MCP_SERVER_URL": "http://localhost:3003/mcp", "LOG_LEVEL": "ERROR"}
        with running(GatewayProcess, **environment) as first, running(GatewayProcess, **environment) as second:
            gateways = Gateways([first, second], environment)
            try:
                yield gateways
            finally:
                # It may have been started in the place of a killed one.
                gateways.processes[0].stop()


def _customer(used: int = 0) -> tuple[Organization, str]:
    organization = OrganizationFactory(owner=UserFactory())
    subscribe(organization, "pro")
    EntitlementsManager(organization).override("sessions", LIMIT, reason="soak")
    if used:
        UsageCounterFactory(organization=organization, feature="sessions", used=used)
    return organization, Person(organization.memberships.get()).key


def _charged(organization: Organization) -> int:
    """Return the units charged once no reservation is open, and expire those that are due, as the worker does."""

    def none_is_held() -> bool:
        expire_due()
        return not UsageHold.objects.filter(organization=organization, state="held").exists()

    until(none_is_held, "no reservation is open", 10 * HOLD_SECONDS)
    return sum(UsageEvent.objects.filter(organization=organization).values_list("amount", flat=True))


def _used(organization: Organization) -> int:
    return sum(UsageCounter.objects.filter(organization=organization).values_list("used", flat=True))


def _mixed(figures: Figures, options: Options, urls: list[str], upstream: Upstream) -> None:
    organization, key = _customer()
    tally = run_mixed(urls, key, options.many(MIXED, minimum=50), upstream, at_once=AT_ONCE, seed=options.seed)
    charged = _charged(organization)
    say(f"  mixed: {tally.calls} calls, {tally.successes} successes, {charged} charged, {tally.restarts} restarts of the server")
    figures.at_least("mixed outcomes: calls", tally.calls, options.many(MIXED, minimum=50))
    figures.at_least("mixed outcomes: restarts of the server", tally.restarts, 1)
    figures.add("mixed outcomes: successes", tally.successes)
    figures.none("mixed outcomes: charged and successes differ", _differ(tally.successes, charged, _used(organization)))
    figures.none("mixed outcomes: unexpected answers", [*tally.wrong, *["a connection was lost"] * tally.unknown])


def _limited(figures: Figures, options: Options, urls: list[str]) -> None:
    calls, left = options.many(CALLS, minimum=40), options.many(LEFT, minimum=10)
    organization, key = _customer(used=LIMIT - left)
    tally = run_at_once(urls, key, calls)
    say(f"  limited: {calls} calls at once, {left} left, {tally.successes} successes")
    figures.none("with a limit: successes and units left differ", _differ(left, tally.successes, _charged(organization)))
    figures.none("with a limit: unexpected answers", [*tally.wrong, *["a connection was lost"] * tally.unknown])


def _killed(figures: Figures, options: Options, gateways: Gateways) -> None:
    urls = gateways.urls
    for _ in range(options.many(KILLS)):
        organization, key = _customer()
        before = _upstream_calls(urls[1])
        tally = run_at_once(urls, key, options.many(CALLS, minimum=40), interrupt=gateways.processes[0].kill)
        charged = _charged(organization)
        calls = _upstream_calls(urls[1]) - before
        say(f"  killed: {tally.successes} successes, {tally.unknown} unknown, {charged} charged, {calls} calls of the server")
        wrong = [] if tally.by_url[urls[1]] <= charged <= calls and _used(organization) == charged else [f"{tally}, {charged} charged"]
        figures.none("a gateway was killed: calls charged twice, or not by the other one", wrong)
        gateways.revive()


def _upstream_calls(url: str) -> int:
    _, key = _customer()
    calls: int = McpClient(url, key).upstream_state()["calls"].get("succeed", 0)
    return calls


def _streams(figures: Figures, options: Options, gateways: Gateways) -> None:
    urls = gateways.urls
    _, key = _customer()
    seconds = options.many(round(STREAM_MINUTES * 60), minimum=10)
    memory: list[list[int]] = []

    async def one(session: aiohttp.ClientSession, url: str, end: float) -> int:
        streams = 0
        headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "stream_progress", "arguments": {}}}
        while time.monotonic() < end:
            async with session.post(url, json=message, headers=headers) as answer:
                await answer.read()
            streams += 1
        return streams

    async def main() -> int:
        end = time.monotonic() + seconds
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            tasks = [asyncio.create_task(one(session, urls[number % 2], end)) for number in range(STREAMS)]
            for _ in range(10):
                await asyncio.sleep(seconds / 10)
                memory.append([_memory(process) for process in gateways.processes])
            return sum(await asyncio.gather(*tasks))

    streams = asyncio.run(main())
    growth = max(last / first for first, last in zip(memory[0], memory[-1], strict=True))
    figures.add(f"streams in {seconds} s", streams)
    figures.at_most("streams: growth of memory", growth, WORST_GROWTH)


def _memory(process: GateProcess) -> int:
    return sum(each.memory_info().rss for each in _family(process))


def _connections(process: GateProcess, port: int) -> int:
    return sum(len([one for one in each.net_connections() if one.raddr and one.raddr.port == port]) for each in _family(process))


def _family(process: GateProcess) -> list[psutil.Process]:
    parent = psutil.Process(process.process.pid)
    return [parent, *parent.children(recursive=True)]


def _differ(*values: int) -> list[str]:
    return [] if len(set(values)) == 1 else [f"{values}"]
