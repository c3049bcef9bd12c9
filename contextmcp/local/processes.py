"""Processes found again after a crash: a pid alone is no proof, pids are reused."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1


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


def end(process: psutil.Process, *signals: tuple[int, float]) -> None:
    """Send each signal in turn, giving it its seconds, then SIGKILL; return when the whole family is gone."""
    everyone = family(process)
    for signum, patience in signals:
        send([process], signum)
        _, left = psutil.wait_procs(everyone, timeout=patience)
        if not left:
            return
    send(family(process) + everyone, signal.SIGKILL)
    psutil.wait_procs(everyone, timeout=10)


def die_with_parent(signum: int = signal.SIGTERM) -> None:
    """Run in the child before exec: Linux then sends `signum` when the parent is gone, even by `kill -9`."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)
