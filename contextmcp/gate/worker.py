"""One process of the gate, started by its supervisor: `python -m contextmcp.gate.worker SOCKET PARENT COUNTS PLACE`.

The first three are inherited file descriptors: the listening socket, a pipe that closes when the parent ends, and the connection counts.
"""

import socket

from contextmcp.startup import USAGE_APPS, set_up

set_up("gate", USAGE_APPS)

from . import process  # noqa: E402
from .accept_balancer import AcceptBalancer  # noqa: E402
from .app import MAX_BODY_BYTES, GateApp, bad_request_response, identify  # noqa: E402 - Django must be set up first
from .http1 import Connection, HttpServer  # noqa: E402

# The maximum time of one transaction.
SHUTDOWN_TIMEOUT_SECONDS = 10.0


async def serve(listening: socket.socket, parent: int, connections: int, place: int) -> None:
    limit = process.max_connections()
    server = HttpServer(GateApp().answer, bad_request_response, MAX_BODY_BYTES, identify=identify, max_connections=limit)
    balancer = AcceptBalancer(listening, connections, place, lambda owner: Connection(server, owner.connection_closed), server.has_room)
    await process.wait_for_end(parent)
    await balancer.close()
    await server.shut_down(SHUTDOWN_TIMEOUT_SECONDS)


if __name__ == "__main__":
    process.run(serve)
