"""Reserve free ports, so that no other process can take them before they are used."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


class NoPort(Exception):
    """The requested port is in use."""


@contextmanager
def claims() -> Iterator[Claims]:
    with ExitStack() as stack:
        yield Claims(stack)


class Claims:
    """Claims ports and holds them until closed.

    Checking that no process listens is not enough: granian listens with SO_REUSEPORT, so two stacks that start together would share a port
    without an error. A lock file per port prevents this.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._held = stack

    def exactly(self, port: int) -> int:
        if not self._claim(port):
            raise NoPort(f"Port {port} is in use. Set PORT to another port, or unset it to use the next free one.")
        return port

    def first_free(self, preferred: int) -> int:
        for port in range(preferred, preferred + 200):
            if self._claim(port):
                return port
        raise NoPort(f"No port from {preferred} to {preferred + 199} is free.")

    def _claim(self, port: int) -> bool:
        path = Path(tempfile.gettempdir()) / f"contextmcp-port-{port}.lock"
        # The lock file of another user can only be opened for reading, which suffices for a lock.
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
    """Return whether nothing listens on the port on either loopback address, because `localhost` may resolve to both."""
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
