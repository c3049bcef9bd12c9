"""HTTP servers around the gate's application: the gate's own, and those that others maintain, in one run."""

from __future__ import annotations

import sys

from tests.bench.compare import Row, interleave
from tests.bench.sample import Http
from tests.bench.servers import Server
from tests.bench.sites import CHECK, FLAG, Bench

AUTHORIZE = "/api/usage/authorize"
QUOTA = b'{"feature":"sessions"}'
OURS = "the gate's own"
APPLICATION = "tests.bench.baselines.gate_asgi"
GRANIAN = ("-m", "granian", "--no-access-log", "--log-level", "warning", "--no-ws", "--http", "1", "--loop", "uvloop", "--backlog", "2048")
UVICORN = ("-m", "uvicorn", "--http", "httptools", "--loop", "uvloop", "--ws", "none", "--lifespan", "off", "--no-access-log")
# By name: the module and options of each. `--workers`, `--host` and `--port` are added.
COMMANDS = {
    "uvicorn (httptools, uvloop)": (*UVICORN, "--log-level", "warning", "--backlog", "2048", f"{APPLICATION}:asgi"),
    "uvicorn's protocol in our workers": ("-m", "tests.bench.baselines.gate_workers"),
    "granian, ASGI": (*GRANIAN, "--interface", "asginl", f"{APPLICATION}:asgi"),
    "granian, RSGI": (*GRANIAN, "--interface", "rsgi", f"{APPLICATION}:rsgi"),
}


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    servers = _servers(bench)
    product = bench.empty
    for connections in bench.options.connections:
        for call, path, body in (("authorize", AUTHORIZE, QUOTA), ("check", CHECK, FLAG)):
            subjects = [
                Http(name, bench.world, server, lambda path=path, body=body: product.posting(path, body, product.many()), connections)  # type: ignore[misc]
                for name, server in servers.items()
            ]
            results = interleave(f"{call}, {connections} connections", subjects, bench.options)
            for name in servers:
                if name != OURS:
                    rows.append(results.ratio(name, OURS, label=f"{call}: {name} to {OURS}"))
                    rows.append(results.ratio(name, OURS, of="cpu_us", label=f"{call}: {name} to {OURS}, CPU"))
            rows.append(results.figure(OURS, "cpu_us", "us", label=f"{call}: {OURS}, CPU"))
    return rows


def _servers(bench: Bench) -> dict[str, Server]:
    product = bench.empty
    servers = {OURS: product.gate}
    # A quick run shows that the measure works; one other server is enough for that.
    names = list(COMMANDS)[-1:] if bench.options.quick else list(COMMANDS)
    for name in names:
        command = [sys.executable, *COMMANDS[name], "--workers", str(bench.options.gate_workers)]
        servers[name] = product.warm(bench.world.serve(f"kept-{len(servers)}", command, product.environment), passes=5)
    return servers
