"""Ports nobody else has, and nobody else takes while we run."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


class NoPort(Exception):
    """The port asked for is taken."""


@contextmanager
def claims() -> Iterator[Claims]:
    with ExitStack() as held:
        yield Claims(held)


class Claims:
    """A claimed port stays ours until the claims are closed, also between choosing it and listening on it.

    The lock is needed beside the look: granian listens with SO_REUSEPORT, so two that start together would silently share a port.
    """

    def __init__(self, held: ExitStack) -> None:
        self._held = held

    def exactly(self, port: int) -> int:
        if not self._claim(port):
            raise NoPort(f"Port {port} is taken; set PORT to another, or leave it unset to take the next free one.")
        return port

    def first_free(self, preferred: int) -> int:
        for port in range(preferred, preferred + 200):
            if self._claim(port):
                return port
        raise NoPort(f"No port from {preferred} to {preferred + 199} is free.")

    def _claim(self, port: int) -> bool:
        path = Path(tempfile.gettempdir()) / f"contextmcp-port-{port}.lock"
        # Another user's lock file can be opened for reading only, and that is enough for a lock.
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))
        try:
            lock = self._held.enter_context(path.open("rb"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        if not is_free(port):
            fcntl.flock(lock, fcntl.LOCK_UN)
            return False
        return True


def is_free(port: int) -> bool:
    """Nobody listens there, on either loopback: `localhost` may mean the one or the other."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with suppress(OSError), socket.socket(family) as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
