"""`python -m contextmcp.gate.worker SOCKET PARENT`: one process that serves, on a listening socket and under a parent it was given."""

import asyncio
import gc
import logging
import signal
import socket
import sys

import django
import uvloop
from django.conf import settings

from contextmcp.startup import load_settings

load_settings()
# Deciding needs no page, no admin and no Stripe: without them it is there in half the time, and two thirds as large.
APPS = ("django.contrib.auth", "django.contrib.contenttypes", "accounts", "entitlements", "usage")
settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app in APPS]
django.setup()

from .app import MOST_BYTES, Gate, unreadable  # noqa: E402 - Django must be set up first
from .door import Door  # noqa: E402
from .http import Connection, Site  # noqa: E402

# As long as a transaction of ours may take.
ENDING_SECONDS = 10.0


async def serve(listening: socket.socket, parent: int, connections: int, place: int) -> None:
    loop = asyncio.get_running_loop()
    site = Site(Gate().answer, unreadable, MOST_BYTES)
    door = Door(listening, connections, place, lambda door: Connection(site, door.left))
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    # Nobody writes to it: it ends when the parent does, however that came about.
    loop.add_reader(parent, ended.set)
    await ended.wait()
    loop.remove_reader(parent)
    door.close()
    await site.end(ENDING_SECONDS)


def main() -> None:
    listening, parent, connections, place = map(int, sys.argv[1:5])
    # What is there now stays; looking through it again and again, or after every few hundred objects of a batch, finds nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    uvloop.run(serve(socket.socket(fileno=listening), parent, connections, place))
    logging.shutdown()


if __name__ == "__main__":
    main()
