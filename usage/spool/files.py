"""The files of a spool. A process writes its own file and holds a lock on it. After that, the first process that takes the lock replays it.

The kernel releases the lock when a process ends for any reason. A file gets the suffix `.spool` only after it has been locked, so that no
other process replays a new, empty file.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contextmcp.common.ids import uuid7

SUFFIX = ".spool"
DAMAGED = ".damaged"


class Writer:
    """An open spool file of this process. After an `OSError` the file must be closed and a new one opened."""

    def __init__(self, folder: Path) -> None:
        path = folder / f"{uuid7().hex}{SUFFIX}"
        unnamed = path.with_suffix(".new")
        self._file = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            unnamed.rename(path)
            _sync_folder(folder)
        except OSError:
            self.close()
            raise

    def write(self, lines: bytes) -> None:
        """Append lines and wait until they are on disk (fsync). After an `OSError` the file is truncated to its former size if possible."""
        before = os.fstat(self._file).st_size
        try:
            while lines:
                lines = lines[os.write(self._file, lines) :]
            os.fsync(self._file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, before)
            raise

    def close(self) -> None:
        os.close(self._file)


def pending_files(folder: Path) -> list[Path]:
    """Return all spool files in the directory, oldest first, including those that are being written."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def size(path: Path) -> int:
    """Return the file's size in bytes, or 0 if it has been replayed and deleted."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def claim(path: Path) -> Iterator[list[bytes] | None]:
    """Lock the file and yield its lines. Yield None if another process writes or replays it, or has deleted it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            claimed = os.fstat(file.fileno()).st_ino == path.stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            claimed = False
        yield file.readlines() if claimed else None


def delete(path: Path) -> None:
    """Delete a replayed file durably."""
    path.unlink()
    _sync_folder(path.parent)


def quarantine(path: Path) -> Path:
    """Rename a damaged file so that it is not replayed again and an operator can inspect it. Return its new path."""
    return path.rename(path.with_suffix(DAMAGED))


def _sync_folder(folder: Path) -> None:
    """Sync the directory. A file's name is durable only after its directory is synced."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
