"""The MCP gateway: a tool call through it, compared with the server directly, a plain forwarder, FastMCP's proxy and one `authorize`."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from statistics import median

from tests.bench import requests
from tests.bench.baselines.mcp_servers import VERSION
from tests.bench.compare import Results, Row, interleave
from tests.bench.load import present
from tests.bench.sample import Http
from tests.bench.servers import Server
from tests.bench.sites import Bench

DIRECT = "the MCP server directly"
FORWARDER = "a plain aiohttp forwarder"
FASTMCP = "FastMCP's proxy"
FREE = "gateway, free tool"
PRICED = "gateway, priced tool"
AUTHORIZE = "authorize, gate with one worker"
BUSY = 64
# FastMCP's proxy answers few calls a second: more connections would only wait.
FASTMCP_CONNECTIONS = 4
PRICES = """
[servers.bench]
url = "{url}"
default = "deny"

[servers.bench.tools]
free = "free"
priced = {{ feature = "sessions" }}
"""


def measure(bench: Bench) -> list[Row]:
    busy = bench.options.connections[0] if bench.options.quick else BUSY
    servers = start(bench)
    subjects = [subject(bench, servers, name, busy) for name in (DIRECT, FORWARDER, FREE, PRICED, AUTHORIZE)]
    if FASTMCP in servers:
        subjects.append(subject(bench, servers, FASTMCP, FASTMCP_CONNECTIONS))
    # The first call of an organization reads its key and plan.
    present(servers[PRICED].port, list(itertools.islice(subject(bench, servers, PRICED, busy).requests(), len(bench.empty.many()))))
    reached = interleave(f"gateway, {busy} connections", subjects, bench.options)
    proxied = [reached.ratio(FREE, FASTMCP, target=30), reached.ratio(PRICED, FASTMCP)] if FASTMCP in servers else []
    return [
        reached.ratio(FREE, FORWARDER, target=1.5),
        reached.ratio(PRICED, FORWARDER, target=0.6),
        *proxied,
        reached.ratio(FREE, DIRECT),
        reached.ratio(PRICED, AUTHORIZE),
        *added(bench, servers, reached, busy),
    ]


def added(bench: Bench, servers: dict[str, Server], reached: Results, connections: int) -> list[Row]:
    """Return the latency that the gateway adds at half of its capacity, without and with decisions."""
    rows = []
    for name, others in ((FREE, (DIRECT,)), (PRICED, (DIRECT, AUTHORIZE))):
        pace = reached.median(name, "rate") / 2
        subjects = [subject(bench, servers, each, connections, pace) for each in (*others, name)]
        results = interleave("gateway, paced", subjects, bench.options)
        rounds = zip(*(results.samples[each] for each in (*others, name)), strict=True)
        # Whatever one authorize takes in the same run is not counted: the decision is the same.
        extra = [max(0.001, samples[-1].p50_ms - sum(each.p50_ms for each in samples[:-1])) for samples in rounds]
        row = results.figure(name, "p50_ms", "ms", target=0.7 if name == FREE else 0.5)
        row.what = f"{name}: p50 added to {' and '.join(others)}"
        row.value, row.spread = median(extra), (min(extra), max(extra))
        rows.append(row)
    return rows


def start(bench: Bench) -> dict[str, Server]:
    """Start one process of each kind."""

    def serve(kind: str, *words: str) -> Server:
        return bench.world.serve(f"mcp-{kind}", [sys.executable, "-m", "tests.bench.baselines.mcp_servers", kind, *words], {})

    product, direct = bench.empty, serve("constant")
    url = f"http://127.0.0.1:{direct.port}/mcp"
    prices = bench.world.home / "pricing.toml"
    prices.write_text(PRICES.format(url=url))
    environment = {**product.environment, "MCP_PRICING_FILE": str(prices), "MCP_SERVER_URL": "https://bench.example/mcp"}
    gateway = bench.world.serve("mcp-gateway", [sys.executable, "-m", "contextmcp.gateway"], environment)
    servers = {
        DIRECT: direct,
        FORWARDER: serve("forwarder", url),
        FREE: gateway,
        PRICED: gateway,
        AUTHORIZE: product.gate if bench.options.gate_workers == 1 else product.warm(product.lone_gate(), passes=1),
    }
    # A quick run only shows that the measure works, and this server takes seconds to start.
    return servers if bench.options.quick else servers | {FASTMCP: serve("fastmcp", url)}


def subject(bench: Bench, servers: dict[str, Server], name: str, connections: int, rate: float | None = None) -> Http:
    def calls() -> Iterator[bytes]:
        if name == AUTHORIZE:
            return bench.empty.posting("/api/usage/authorize", b'{"feature":"sessions"}', bench.empty.many())
        tool = {FREE: "free", PRICED: "priced"}.get(name, "constant")
        return requests.cycle([call(tool, head) for head in bench.empty.heads(bench.empty.many())])

    return Http(name, bench.world, servers[name], calls, connections, rate=rate, expect=b"" if name == AUTHORIZE else b'"constant"')


def call(tool: str, head: dict[str, str]) -> bytes:
    """Return a call of the tool as a client of revision 2026-07-28 sends it."""
    meta: dict[str, object] = {
        f"io.modelcontextprotocol/{name}": value for name, value in (("protocolVersion", VERSION), ("clientCapabilities", {}))
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}, "_meta": meta}}
    mirrored = {"MCP-Protocol-Version": VERSION, "Mcp-Method": "tools/call", "Mcp-Name": tool}
    return requests.request(
        "POST", "/mcp", json.dumps(message).encode(), head | mirrored | {"Accept": "application/json, text/event-stream"}
    )
