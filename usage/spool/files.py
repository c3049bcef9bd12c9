"""The files of a spool. Each is written by one process, which locks it as long as it lives; the next to get the lock counts it.

The kernel lets go of the lock when a process dies, however it dies. A file is only ever named `.spool` while it is locked or complete, so
that nobody takes an empty one for a finished one.
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
    """An open file of this process's own. Raises OSError where the disk does; then it must be closed and another one opened."""

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
        """When this returns they are on the disk; when it raises, they are taken back as far as the disk lets us."""
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


def waiting(folder: Path) -> list[Path]:
    """All that lie there, the oldest first, whoever writes them."""
    return sorted(folder.glob(f"*{SUFFIX}"))


@contextmanager
def adopted(path: Path) -> Iterator[list[bytes] | None]:
    """Its lines, while nobody else writes or counts it; None where somebody does, or has done by now."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(file.fileno()).st_ino == path.stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            mine = False
        yield file.readlines() if mine else None


def forget(path: Path) -> None:
    path.unlink()
    _sync_folder(path.parent)


def put_aside(path: Path) -> Path:
    """For somebody to look at. Nothing counts it any more."""
    return path.rename(path.with_suffix(DAMAGED))


def _sync_folder(folder: Path) -> None:
    """A name is durable only when its folder is."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
