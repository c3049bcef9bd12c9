"""One process of the gateway, started by its supervisor: `python -m contextmcp.gateway.worker SOCKET PARENT COUNTS PLACE`.

The first three are inherited file descriptors, as for a process of the gate.
"""

from __future__ import annotations

import socket

from django.conf import settings

from contextmcp.startup import USAGE_APPS, set_up

set_up("gateway", USAGE_APPS)

from contextmcp.common.pool import use_pool  # noqa: E402 - Django must be set up first
from contextmcp.gate import process  # noqa: E402
from contextmcp.gate.accept_balancer import AcceptBalancer  # noqa: E402
from contextmcp.gate.authentication import AUTHENTICATION_THREADS, Authenticator  # noqa: E402
from contextmcp.gate.driver import DATABASE_THREADS, AsyncDriver  # noqa: E402

from .app import GatewayApp, bad_request_response, identify  # noqa: E402
from .configuration import load_servers  # noqa: E402
from .connection import StreamingConnection, StreamingServer  # noqa: E402
from .exchange import GatewayLimits  # noqa: E402

# Responses that are in progress when the process ends get this time, after `http_server.DRAIN_SECONDS`.
ANSWER_SECONDS = 13.0
# The thread for readiness and metrics.
OTHER_THREADS = 1


async def serve(listening: socket.socket, parent: int, connections: int, place: int) -> None:
    """Serve until SIGTERM, or until the parent ends."""
    # A connection for each thread, so that no thread waits for one.
    use_pool(AUTHENTICATION_THREADS + DATABASE_THREADS + OTHER_THREADS)
    limits = GatewayLimits()
    app = GatewayApp(
        load_servers(),
        Authenticator(),
        AsyncDriver(),
        public_url=settings.MCP_SERVER_URL,
        allowed_origins=settings.MCP_ALLOWED_ORIGINS,
        limits=limits,
    )
    most = process.max_connections()
    server = StreamingServer(app.answer, bad_request_response, limits.max_body_bytes, identify=identify, max_connections=most)

    def connect(owner: AcceptBalancer) -> StreamingConnection:
        return StreamingConnection(server, owner.connection_closed)

    balancer = AcceptBalancer(listening, connections, place, connect, server.has_room)
    await process.wait_for_end(parent)
    await balancer.close()
    app.end_listening()
    await server.shut_down(ANSWER_SECONDS)
    await app.close()


if __name__ == "__main__":
    process.run(serve)
