"""Processes found again after a crash: a pid alone is no proof, pids are reused."""

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
# Looked up here, not between fork and exec, where little is safe.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


def find(pid_file: Path, marker: str) -> psutil.Process | None:
    """The living process whose pid the file's first line holds, if `marker` stands in its command line."""
    try:
        process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
        if process.status() == psutil.STATUS_ZOMBIE or not any(marker in word for word in process.cmdline()):
            return None
    except (OSError, ValueError, psutil.Error):
        return None
    return process


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and all that descend from it, while they can still be told: an orphan has lost its parent."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return [process]


def send(processes: Iterable[psutil.Process], signum: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signum)


def wait(waited_for: Iterable[psutil.Process], patience: float) -> bool:
    """Whether all are gone in time. A zombie is gone: in a container its new parent may never reap it."""
    left = list(waited_for)
    until = time.monotonic() + patience
    while True:
        left = [process for process in left if _alive(process)]
        if not left or time.monotonic() > until:
            return not left
        time.sleep(0.01)


def end(process: psutil.Process, *signals: tuple[int, float]) -> None:
    """Send each signal in turn, giving it its seconds, then SIGKILL; return when the whole family is gone."""
    everyone = family(process)
    for signum, patience in signals:
        send([process], signum)
        if wait(everyone, patience):
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
    """Run in the child before exec: Linux then sends SIGTERM when the parent is gone, even by `kill -9`."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
