"""Who takes the next connection: the worker that has the fewest. Left to chance, one core of two may idle behind four busy clients."""

import asyncio
import logging
import mmap
import socket
from collections.abc import Callable
from tempfile import TemporaryFile
from typing import IO

log = logging.getLogger(__name__)
# How long a worker that has more leaves a connection to the others, which are told of it too, before it takes it after all.
POLITE_SECONDS = 0.002
# No file may be left for another connection; soon there will be.
PAUSE_SECONDS = 0.5


def counts(workers: int) -> IO[bytes]:
    """A file without a name, for workers to map: how many connections each of them has."""
    made = TemporaryFile()  # noqa: SIM115 - it is open as long as the workers run
    made.truncate(workers * 4)
    return made


class Door:
    """One worker's at the socket that all of them share."""

    def __init__(self, listening: socket.socket, shared: int, place: int, connect: "Callable[[Door], asyncio.BaseProtocol]") -> None:
        """`shared` is the file of `counts`, `place` this worker's in it."""
        self._loop = asyncio.get_running_loop()
        self._listening, self._place, self._connect = listening, place, connect
        self._counts = memoryview(mmap.mmap(shared, 0)).cast("i")
        self._counts[place] = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._loop.add_reader(listening, self._knocked)

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    def left(self) -> None:
        """A connection is gone."""
        self._counts[self._place] -= 1

    def _knocked(self) -> None:
        if self._counts[self._place] > min(self._counts):
            self._wait(POLITE_SECONDS)
        else:
            self._take()

    def _wait(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening)
        self._pause = self._loop.call_later(seconds, self._again)

    def _again(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._knocked)
        self._take()

    def _take(self) -> None:
        try:
            taken, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # Another worker was quicker, or the client has gone.
        except OSError as error:
            log.error("no connection can be taken: %s", error.strerror)
            self._wait(PAUSE_SECONDS)
            return
        taken.setblocking(False)
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._counts[self._place] += 1
        task = self._loop.create_task(self._loop.connect_accepted_socket(lambda: self._connect(self), taken))
        self._tasks.add(task)
        task.add_done_callback(self._taken)

    def _taken(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            self.left()
