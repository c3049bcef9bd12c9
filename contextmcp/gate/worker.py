"""One process of the gate, started by its supervisor: `python -m contextmcp.gate.worker SOCKET PARENT COUNTS PLACE`.

The first three are inherited file descriptors: the listening socket, a pipe that closes when the parent ends, and the connection counts.
"""

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys

import uvloop
from django.conf import settings

from contextmcp.startup import set_up

# The gate does not need pages, admin and Stripe. Without them it starts in half the time and needs a third less memory.
set_up("gate", ("django.contrib.auth", "django.contrib.contenttypes", "accounts", "entitlements", "usage"))

from .accept_balancer import AcceptBalancer  # noqa: E402
from .app import MAX_BODY_BYTES, GateApp, bad_request_response, identify  # noqa: E402 - Django must be set up first
from .http1 import Connection, HttpServer  # noqa: E402

# The maximum time of one transaction.
SHUTDOWN_TIMEOUT_SECONDS = 10.0
# Files that are not client sockets: Postgres, Valkey, the spool and logs.
RESERVED_FILES = 128


def max_connections() -> int:
    """Return the configured limit, or less if the process may not open as many files. Raises the limit of open files as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.GATE_MAX_CONNECTIONS + RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return int(settings.GATE_MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(needed, soft) - RESERVED_FILES)


async def serve(listening: socket.socket, parent: int, connections: int, place: int) -> None:
    loop = asyncio.get_running_loop()
    server = HttpServer(GateApp().answer, bad_request_response, MAX_BODY_BYTES, identify=identify, max_connections=max_connections())
    balancer = AcceptBalancer(listening, connections, place, lambda owner: Connection(server, owner.connection_closed), server.has_room)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # No process writes to this pipe. It closes when the parent ends, even by `kill -9`.
    loop.add_reader(parent, stopping.set)
    await stopping.wait()
    loop.remove_reader(parent)
    await balancer.close()
    await server.shut_down(SHUTDOWN_TIMEOUT_SECONDS)


def main() -> None:
    listening, parent, connections, place = map(int, sys.argv[1:5])
    # The current objects are permanent, so the garbage collector does not have to examine them, and can run less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    uvloop.run(serve(socket.socket(fileno=listening), parent, connections, place))
    logging.shutdown()


if __name__ == "__main__":
    main()
