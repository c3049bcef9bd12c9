"""What the processes of the gate and of the MCP gateway have in common: how they start, run and end."""

import asyncio
import gc
import logging
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

import uvloop
from django.conf import settings

# The listening socket, the pipe that closes when the parent ends, the connection counts, and the place in them.
Serve = Callable[[socket.socket, int, int, int], Awaitable[None]]
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


async def wait_for_end(parent: int) -> None:
    """Wait for SIGTERM or SIGINT, or until the parent ends."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # No process writes to this pipe. It closes when the parent ends, even by `kill -9`.
    loop.add_reader(parent, stopping.set)
    await stopping.wait()
    loop.remove_reader(parent)


def run(serve: Serve) -> None:
    """Run a process, whose arguments are three file descriptors and its place."""
    listening, parent, connections, place = map(int, sys.argv[1:5])
    # The current objects are permanent, so the garbage collector does not have to examine them, and can run less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)

    async def main() -> None:
        await serve(socket.socket(fileno=listening), parent, connections, place)

    uvloop.run(main())
    logging.shutdown()
