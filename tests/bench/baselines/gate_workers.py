"""`python -m tests.bench.baselines.gate_workers`: the gate's supervisor and accept balancer around uvicorn's protocol."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from typing import Any

import uvloop
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from contextmcp.gate import __main__ as gate
from contextmcp.gate.accept_balancer import NOT_ACCEPTING, AcceptBalancer

MODULE = "tests.bench.baselines.gate_workers"


class Supervisor(gate.Supervisor):
    """Starts these workers instead of the gate's own."""

    def start(self, place: int) -> None:
        self._counts[place] = NOT_ACCEPTING
        shared = (self._listening.fileno(), self._alive, self._connections.fileno())
        command = [sys.executable, "-m", MODULE, "worker", *map(str, shared), str(place)]
        self._workers[place] = subprocess.Popen(command, pass_fds=shared)


class Connection(HttpToolsProtocol):
    """Tells the balancer when it is lost."""

    balancer: AcceptBalancer

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.balancer.connection_closed()


async def serve(listening: int, parent: int, shared: int, place: int) -> None:
    from tests.bench.baselines.gate_asgi import asgi

    loop = asyncio.get_running_loop()
    config = Config(asgi, http="httptools", ws="none", lifespan="off", access_log=False, log_config=None, timeout_keep_alive=75)
    config.load()
    state = ServerState()

    def connect(balancer: AcceptBalancer) -> Any:
        connection = Connection(config, state, {}, loop)
        connection.balancer = balancer
        return connection

    balancer = AcceptBalancer(socket.socket(fileno=listening), shared, place, connect)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_reader(parent, ended.set)
    await ended.wait()
    await balancer.close()
    for connection in list(state.connections):
        connection.shutdown()


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        uvloop.run(serve(*map(int, sys.argv[2:6])))
    else:
        gate.Supervisor = Supervisor  # type: ignore[misc]
        gate.main()
