"""The spool of this process: writes granted calls to disk, and replays them when PostgreSQL is reachable again."""

import logging
import os
import threading
from pathlib import Path

from django.conf import settings
from django.db import connection

from usage.types import AuthorizeCommand

from . import records, replay
from .files import Writer, pending_files

log = logging.getLogger(__name__)
CHECK_INTERVAL_SECONDS = 1.0


def spool_dir() -> Path | None:
    """Return the spool directory, or None if spooling is not configured (USAGE_SPOOL_DIR)."""
    return Path(settings.USAGE_SPOOL_DIR) if settings.USAGE_SPOOL_DIR else None


class _Batch:
    """Lines that are written with one fsync. If it fails, all of them fail."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.written = False
        self.error: OSError | None = None


class Spool:
    """The open file and the replay thread of a process. Thread-safe.

    Threads that append while another thread waits for the disk share the next fsync.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        # `_queue` protects the batch and `_disk` protects the file. A thread that needs both acquires `_disk` first.
        self._queue, self._disk = threading.Lock(), threading.Lock()
        self._batch = _Batch()
        self._writer: Writer | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def after_fork(self) -> None:
        """Close this process's copy of the parent's file descriptor and start with an empty state."""
        if self._writer is not None:
            self._writer.close()
        self._reset()

    def append(self, directory: Path, command: AuthorizeCommand, body: bytes) -> None:
        """Write a granted call and wait until it is on disk. Raise `OSError` if it cannot be written."""
        line = records.encode_authorization(command, body)
        with self._queue:
            batch = self._batch
            batch.lines.append(line)
        with self._disk:
            if not batch.written:
                with self._queue:
                    self._batch = _Batch()
                self._write(directory, batch)
        if batch.error is not None:
            raise batch.error

    def _write(self, directory: Path, batch: _Batch) -> None:
        batch.written = True
        try:
            if self._writer is None:
                self._writer = Writer(directory)
            self._writer.write(b"".join(batch.lines))
        except OSError as error:
            batch.error = error
            # Only the last line of a file may be incomplete, so the next write must use a new file.
            self._close()

    def rotate_file(self) -> None:
        """Close the current file so that it can be replayed. Later calls are written to a new file."""
        with self._disk:
            self._close()

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def start(self, directory: Path) -> None:
        """Start a thread that replays the directory periodically. Does nothing if it is running."""
        if self._thread is None:
            with self._queue:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, args=[directory], name="usage-spool", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """Stop the thread. Files that have not been replayed stay for the next process."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(10)
        self._close()
        self._reset()

    def _run(self, directory: Path) -> None:
        stopping = self._stopping
        while not stopping.wait(CHECK_INTERVAL_SECONDS):
            try:
                self.replay(directory)
            except Exception:
                log.exception("replaying the spool failed")
            finally:
                connection.close()

    def replay(self, directory: Path) -> int:
        """Replay all files that can be claimed, if PostgreSQL is reachable. Return the number of calls counted."""
        if not pending_files(directory) or not replay.database_is_reachable():
            return 0
        self.rotate_file()
        return sum(replay.replay_file(path) for path in pending_files(directory))


SPOOL = Spool()


def append(command: AuthorizeCommand, body: bytes) -> None:
    """Write a granted call to this process's spool, wait until it is on disk, and start the thread that replays it.

    The spool directory must be configured. Raises `OSError` if the call cannot be written.
    """
    directory = spool_dir()
    assert directory is not None
    SPOOL.start(directory)
    SPOOL.append(directory, command, body)


os.register_at_fork(after_in_child=SPOOL.after_fork)
