"""Let the worker with the fewest connections accept each new one. Otherwise four busy clients may share one of two cores."""

import asyncio
import logging
import mmap
import os
import socket
import sys
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import IO

log = logging.getLogger(__name__)
# A worker with more connections than another waits this long for others to accept a new connection, before it accepts it itself.
YIELD_SECONDS = 0.002
# A worker accepts no connections for this time after an error, which usually means that no file descriptor is free.
BACKOFF_SECONDS = 0.5
# The count of a place without an accepting worker. It is higher than the count of any worker.
NOT_ACCEPTING = 2**31 - 1


def shared_connection_counts(places: int) -> IO[bytes]:
    """Return an unnamed file with the number of connections at each of `places` places, for all workers to map."""
    # It is in memory if the system supports this, because a machine with a read-only disk has no directory for temporary files.
    file = os.fdopen(os.memfd_create("gate"), "r+b") if hasattr(os, "memfd_create") else TemporaryFile()  # noqa: SIM115
    file.write(NOT_ACCEPTING.to_bytes(4, sys.byteorder) * places)
    file.flush()
    return file


def map_connection_counts(shared: int) -> "memoryview[int]":
    return memoryview(mmap.mmap(shared, 0)).cast("i")


class AcceptBalancer:
    """Accepts connections for one worker from the socket that all workers share."""

    def __init__(
        self,
        listening: socket.socket,
        shared: int,
        place: int,
        connect: "Callable[[AcceptBalancer], asyncio.BaseProtocol]",
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        """`shared` is the file descriptor of the counts and `place` this worker's index. `has_room` allows or denies another connection."""
        self._has_room = has_room
        self._loop = asyncio.get_running_loop()
        self._listening, self._place, self._connect = listening, place, connect
        self._counts = map_connection_counts(shared)
        self._counts[place] = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        listening.setblocking(False)
        self._loop.add_reader(listening, self._on_readable)

    async def close(self) -> None:
        """Accept the connections that wait in the socket, then no more. When this returns, each of them has its protocol."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        # Clients in the socket's queue consider themselves connected. Closing the socket would reset their connections.
        while self._accept():
            pass
        if self._pause is not None:
            self._pause.cancel()
        self._listening.close()
        self._closed = True
        self._counts[self._place] = NOT_ACCEPTING
        # A worker without other connections would end and reset these connections.
        if self._tasks:
            await asyncio.wait(self._tasks)

    def connection_closed(self) -> None:
        """Decrement the count of connections."""
        if not self._closed:
            self._counts[self._place] -= 1

    def _on_readable(self) -> None:
        if self._counts[self._place] > min(self._counts):
            self._pause_accepting(YIELD_SECONDS)
        else:
            self._accept()

    def _pause_accepting(self, seconds: float) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._pause = self._loop.call_later(seconds, self._resume_accepting)

    def _resume_accepting(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._on_readable)
        self._accept()

    def _accept(self) -> bool:
        """Accept a connection and return True, or return False if there is none or the limit is reached."""
        if not self._has_room():
            self._pause_accepting(BACKOFF_SECONDS)
            return False
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # Another worker accepted it first, or the client has disconnected.
        except OSError as error:
            log.error("no connection can be accepted: %s", error.strerror)
            self._pause_accepting(BACKOFF_SECONDS)
            return False
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._counts[self._place] += 1
        task = self._loop.create_task(self._loop.connect_accepted_socket(lambda: self._connect(self), connection))
        self._tasks.add(task)
        task.add_done_callback(self._on_accepted)
        return True

    def _on_accepted(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            self.connection_closed()
