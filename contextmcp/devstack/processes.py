"""Find and end processes after a crash. A process ID alone does not identify a process, because IDs are reused."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
# libc is loaded here, because little is safe between fork and exec.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def find(pid_file: Path, marker: str) -> psutil.Process | None:
    """Return the running process whose ID the file's first line contains, if its command line contains `marker`."""
    try:
        process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
        if process.status() == psutil.STATUS_ZOMBIE or not any(marker in word for word in process.cmdline()):
            return None
    except (OSError, ValueError, psutil.Error):
        return None
    return process


def family(process: psutil.Process) -> list[psutil.Process]:
    """Return the process and its descendants. Call it before the parent ends, because an orphan's parent is unknown."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return [process]


def send(processes: Iterable[psutil.Process], signum: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signum)


def wait(waited_for: Iterable[psutil.Process], timeout: float) -> bool:
    """Return whether all processes end in time. Zombies count as ended: in a container their new parent may never reap them."""
    left = list(waited_for)
    until = time.monotonic() + timeout
    while True:
        left = [process for process in left if _alive(process)]
        if not left or time.monotonic() > until:
            return not left
        time.sleep(0.01)


def end(process: psutil.Process, *signals: tuple[int, float]) -> None:
    """Send each signal in turn and wait its seconds, then SIGKILL. Return when the whole process tree has ended."""
    everyone = family(process)
    for signum, timeout in signals:
        send([process], signum)
        if wait(everyone, timeout):
            return
    everyone = list({*everyone, *family(process)})
    send(everyone, signal.SIGKILL)
    wait(everyone, 10)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def die_with_parent() -> None:
    """Make Linux send SIGTERM to this process when its parent ends, even by `kill -9`. Called in the child before exec."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
