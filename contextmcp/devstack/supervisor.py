"""Supervise processes that end together.

It uses one thread, because children end with the thread that started them (see `die_with_parent`).
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Self

import psutil

from contextmcp.devstack import processes

LARGEST_LOG = 20 * 1024 * 1024
STOP_SECONDS = 8.0


class Stopped(Exception):
    """All processes must stop, because a signal arrived or a process ended. `code` is the exit code of the command."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


def stop_on_signals() -> None:
    """Turn the first SIGINT, SIGTERM or SIGHUP into `Stopped`. Further signals must not interrupt the shutdown."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(signum: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(signum).name, 128 + signum)

    for each in signals:
        signal.signal(each, stop)


@dataclass
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path
    task: bool
    shown: bool
    unfinished: bytes = b""
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=20))


class Supervisor:
    """A context manager that ends all its processes, even if its block raises an error."""

    def __init__(self, logs: Path, *, echo: bool) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.logs = logs
        self.echo = echo
        self.children: list[Child] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._selector.close()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], *, task: bool = False, shown: bool = False) -> Child:
        """Start a process. If it ends, everything ends, unless it is a task."""
        process = subprocess.Popen(
            list(command),
            env={**env, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # It has its own process group, so that the supervisor passes Ctrl-C on in order and can end the descendants too.
            start_new_session=True,
            preexec_fn=processes.die_with_parent,  # noqa: PLW1509 - there is one thread
        )
        child = Child(name, process, self.logs / f"{name}.log", task, shown)
        child.log.write_bytes(b"")
        self.children.append(child)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, child)
        return child

    def run(self, name: str, command: Sequence[str], env: Mapping[str, str], *, shown: bool = True) -> int:
        """Run a task while the others continue, and return its exit code. Its output is shown always, or only if it fails."""
        child = self.start(name, command, env, task=True, shown=shown)
        while child.process.poll() is None:
            self.pump(0.05)
        self.pump(0)
        self._end(child)
        self.children.remove(child)
        if child.process.returncode and not shown:
            sys.stdout.write("".join(f"{line}\n" for line in child.tail))
        return child.process.returncode

    def until(self, ready: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Wait until a condition that depends on the processes is true. Raises `Stopped` if a process ends or time runs out."""
        end = time.monotonic() + timeout
        while not ready():
            if time.monotonic() > end:
                raise Stopped(f"{what} was not ready within {timeout:.0f} s; see {self.logs}", 1)
            self.pump(0.05)

    def serve(self) -> None:
        """Relay the output of the processes until `Stopped` is raised."""
        while True:
            self.pump(0.5)

    def pump(self, timeout: float) -> None:
        """Relay the output of the processes for at most `seconds`, and raise `Stopped` if one has ended."""
        for key, _ in self._selector.select(timeout):
            self._read(key.data)
        for child in self.children:
            if not child.task and child.process.poll() is not None:
                self._read(child)
                output = "" if self.echo else "".join(f"\n  {line}" for line in child.tail)
                raise Stopped(f"{child.name} ended with {child.process.returncode}; stopping everything{output}", 1)

    def stop(self) -> None:
        """Stop the processes in reverse order of their start, so that processes stop before their dependencies."""
        for child in reversed(self.children):
            self._end(child)
        self.children.clear()

    def _end(self, child: Child) -> None:
        """Send SIGTERM to the process, then SIGKILL to the remaining processes of its group."""
        tree = _descendants(child.process.pid)
        with suppress(ProcessLookupError):
            child.process.terminate()
        end = time.monotonic() + STOP_SECONDS
        while child.process.poll() is None and time.monotonic() < end:
            # A process whose output is not read could block and not end.
            for key, _ in self._selector.select(0.02):
                self._read(key.data)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        processes.send(tree, signal.SIGKILL)
        child.process.wait(10)
        processes.wait(tree, 5)
        self._read(child)
        if child.process.stdout and not child.process.stdout.closed:
            with suppress(KeyError):
                self._selector.unregister(child.process.stdout)
            child.process.stdout.close()

    def _read(self, child: Child) -> None:
        stream = child.process.stdout
        if stream is None or stream.closed:
            return
        while True:
            try:
                chunk = os.read(stream.fileno(), 65536)
            except BlockingIOError:
                return
            if not chunk:
                with suppress(KeyError):
                    self._selector.unregister(stream)
                self._lines(child, child.unfinished)
                child.unfinished = b""
                return
            whole, newline, rest = (child.unfinished + chunk).rpartition(b"\n")
            child.unfinished = rest
            self._lines(child, whole + newline)

    def _lines(self, child: Child, data: bytes) -> None:
        if not data:
            return
        if child.log.stat().st_size > LARGEST_LOG:
            child.log.replace(child.log.with_suffix(".log.1"))
        with child.log.open("ab") as log:
            log.write(data)
        lines = data.decode(errors="replace").splitlines()
        child.tail.extend(lines)
        if child.shown if child.task else self.echo:
            for line in lines:
                sys.stdout.write(f"{line}\n" if child.task else f"{child.name:<7}| {line}\n")
            sys.stdout.flush()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
