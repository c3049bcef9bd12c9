"""This process's spool: writes what was granted, and has it counted when Postgres is back."""

import logging
import os
import threading
from pathlib import Path

from django.conf import settings
from django.db import connection

from usage.types import Ask

from . import lines, replay
from .files import Writer, waiting

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0


def folder() -> Path | None:
    """Where spooled calls wait; None where nothing is spooled."""
    return Path(settings.USAGE_SPOOL_DIR) if settings.USAGE_SPOOL_DIR else None


class _Batch:
    """Lines that share one wait for the disk, and its failure."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.written = False
        self.fault: OSError | None = None


class Spool:
    """Safe to use from many threads: those that come while one waits for the disk share the next wait."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        # What waits is under `_queue`, the file under `_disk`; who needs both takes `_disk` first.
        self._queue, self._disk = threading.Lock(), threading.Lock()
        self._batch = _Batch()
        self._writer: Writer | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def after_fork(self) -> None:
        """The parent's file is the parent's."""
        if self._writer is not None:
            self._writer.close()
        self._forget()

    def keep(self, place: Path, ask: Ask, body: bytes) -> None:
        """Write it down. When this returns it is on the disk. Raises OSError."""
        line = lines.of_ask(ask, body)
        with self._queue:
            batch = self._batch
            batch.lines.append(line)
        with self._disk:
            if not batch.written:
                with self._queue:
                    self._batch = _Batch()
                self._write(place, batch)
        if batch.fault is not None:
            raise batch.fault

    def _write(self, place: Path, batch: _Batch) -> None:
        batch.written = True
        try:
            if self._writer is None:
                self._writer = Writer(place)
            self._writer.write(b"".join(batch.lines))
        except OSError as fault:
            batch.fault = fault
            # A torn line may only be the last of its file.
            self._close()

    def seal(self) -> None:
        """End the present file, so that it can be counted. What is granted from now on goes to another."""
        with self._disk:
            self._close()

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def start(self, place: Path) -> None:
        """Look after the folder from now on, in a thread of its own. Does nothing if it does already."""
        if self._thread is None:
            with self._queue:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._look_after, args=[place], name="usage-spool", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """End the thread. What lies there stays, for whoever comes next."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10)
        self._close()
        self._forget()

    def _look_after(self, place: Path) -> None:
        stopping = self._stopping
        while not stopping.wait(LOOK_SECONDS):
            try:
                self.replay(place)
            except Exception:
                log.exception("replaying the spool failed")
            finally:
                connection.close()

    def replay(self, place: Path) -> int:
        """Count what can be counted now; how many calls that were."""
        if not waiting(place) or not replay.possible():
            return 0
        self.seal()
        return sum(replay.one(path) for path in waiting(place))


SPOOL = Spool()
os.register_at_fork(after_in_child=SPOOL.after_fork)
