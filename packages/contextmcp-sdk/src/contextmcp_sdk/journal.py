"""Records on disk that survive the end of this process, until they are delivered.

A folder holds segments: files with one JSON document per line. A process appends to one open segment, which it has locked, and syncs each
record to the disk before `append` returns. A segment is delivered as a whole and removed afterwards. If a process dies in between, its lock
ends, and any process with the same folder delivers the segment: a record may be delivered twice, so it needs an idempotency key.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from io import FileIO
from pathlib import Path
from typing import IO
from uuid import uuid4

SUFFIX = ".jsonl"
REJECTED = "rejected.log"
# The maximum number of records and bytes of a delivery. A request to the service may have 1,000 events and 2 MiB.
MAX_SEGMENT_RECORDS, MAX_SEGMENT_BYTES = 500, 512 * 1024
DEFAULT_MAX_BYTES = 64 * 2**20


class JournalFull(Exception):
    """The folder has reached its maximum size. The record was not stored."""


class Journal:
    """The records in a folder. Safe to use in several threads and processes, but not across a fork.

    Args:
        folder: is created, for its owner alone.
        max_bytes: the size of all segments together from which records are refused.
    """

    def __init__(self, folder: Path | str, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.folder, self._max_bytes = Path(folder), max_bytes
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._segment: FileIO | None = None
        self._records = self._bytes = 0
        self._others = self._size()

    def append(self, record: bytes) -> None:
        """Store a record, which contains no line break, and return when it is on disk.

        Raises:
            JournalFull: the folder has no room.
            OSError: the disk cannot be written.
        """
        line = record + b"\n"
        with self._lock:
            if self._others + self._bytes + len(line) > self._max_bytes:
                # Other processes may have delivered their segments since the last check.
                self._others = self._size() - self._bytes
                if self._others + self._bytes + len(line) > self._max_bytes:
                    raise JournalFull(f"{self.folder} has reached {self._max_bytes} bytes.")
            if self._records >= MAX_SEGMENT_RECORDS or self._bytes + len(line) > MAX_SEGMENT_BYTES:
                self._close_segment()
            segment = self._segment or self._open_segment()
            try:
                _write(segment, line)
            except OSError:
                # The file may end with a partial line, which the next record must not continue.
                self._close_segment()
                raise
            self._records += 1
            self._bytes += len(line)

    @contextmanager
    def segments(self) -> Iterator[Iterator[Segment]]:
        """Yield the segments that can be delivered now, oldest first: this process's own, and those whose process has ended.

        Each is locked while the caller has it. `Segment.remove` deletes a segment. A segment that is not removed is delivered again later.
        """
        with self._lock:
            self._close_segment()
        # Close the generator as soon as the caller fails. Otherwise the traceback would keep it alive, and with it the lock of a segment.
        with closing(self._lock_segments()) as segments:
            yield segments

    def close(self) -> None:
        """Close the open segment. Its records stay on disk."""
        with self._lock:
            self._close_segment()

    def is_empty(self) -> bool:
        """Return whether no record is pending."""
        return not any(path.stat().st_size for path in self._paths())

    def lines(self) -> Iterator[bytes]:
        """Yield all pending records, including those of other processes."""
        for path in self._paths():
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            yield from (line for line in content.split(b"\n")[:-1] if line)

    def reject(self, line: bytes, reason: str) -> None:
        """Keep a record that cannot be delivered for manual inspection. At most a quarter of the maximum size is kept."""
        path = self.folder / REJECTED
        if path.exists() and path.stat().st_size > self._max_bytes // 4:
            return
        with path.open("ab") as file:
            file.write(b"%s\t%s\n" % (reason.replace("\t", " ").replace("\n", " ").encode(), line))

    def _lock_segments(self) -> Generator[Segment, None, None]:
        for path in self._paths():
            try:
                file = path.open("r+b")
            except FileNotFoundError:
                continue
            with file:
                if _lock(file) and path.exists():
                    # A last line without a line break is incomplete: its process ended while writing. It was never acknowledged.
                    lines = file.read().split(b"\n")[:-1]
                    yield Segment(path, [line for line in lines if line])

    def _open_segment(self) -> FileIO:
        while True:
            # The name orders segments by their age.
            path = self.folder / f"{time.time_ns():020d}-{uuid4().hex}{SUFFIX}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            segment = os.fdopen(descriptor, "ab", buffering=0)
            # A delivery may have taken the new file, and removed it because it was empty.
            if _lock(segment) and path.exists():
                break
            segment.close()
        _sync_folder(self.folder)
        self._segment = segment
        return segment

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._others += self._bytes
            self._records = self._bytes = 0

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))

    def _size(self) -> int:
        total = 0
        for path in self._paths():
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue
        return total


class Segment:
    """The records of one file."""

    def __init__(self, path: Path, lines: list[bytes]) -> None:
        self._path, self.lines = path, lines

    def remove(self) -> None:
        """Remove the segment, because all of its records were delivered or rejected."""
        self._path.unlink(missing_ok=True)


def _write(segment: FileIO, line: bytes) -> None:
    """Write a line and wait until it is on disk."""
    rest = memoryview(line)
    while rest:
        rest = rest[segment.write(rest) :]
    os.fsync(segment.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file survive a power failure. Windows cannot open folders, and does this by itself."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lock(file: IO[bytes]) -> bool:
    """Lock the file until it is closed or this process ends. Return whether it was free."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - exists on Windows only

            # The locked byte is far beyond the end of the file, because other processes cannot read a locked byte.
            file.seek(2**30)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            import fcntl  # noqa: PLC0415 - does not exist on Windows

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
