"""Real gate processes over the test's database, and a bare HTTP client that keeps its connection."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from contextmcp.local.services import REPOSITORY

from .api import credentials


def environment(**more: str) -> dict[str, str]:
    """Of a process that serves this test's database under this test's settings."""
    name = connection.settings_dict["NAME"]
    return {**os.environ, "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl(), **more}


class GateProcess:
    def __init__(self, *, workers: int = 1, port: int = 0, **more: str) -> None:
        self.port = port or free_port()
        self.process = subprocess.Popen(self.command(workers), cwd=REPOSITORY, env=environment(**more), start_new_session=True)

    def command(self, workers: int) -> list[str]:
        return [sys.executable, "-m", "contextmcp.gate", "--port", str(self.port), "--workers", str(workers)]

    def wait(self, patience: float = 20) -> "GateProcess":
        until = time.monotonic() + patience
        while time.monotonic() < until:
            try:
                if Http(self.port).request("GET", "/livez")[0] == 200:
                    return self
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise AssertionError("the gate did not start")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """`kill -9`, of the process and its workers: they are a group of their own."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)


class WebProcess(GateProcess):
    """Django, as it is deployed: it takes the same calls."""

    def command(self, workers: int) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", str(workers), "--backlog", "2048"]
        how = ["--interface", "asginl", "--loop", "uvloop", "--http", "1", "--backpressure", "8192", "--http1-header-read-timeout", "15000"]
        quiet = ["--no-ws", "--no-access-log", "--log-level", "warning"]
        return [sys.executable, "-m", "granian", *how, *quiet, *where, "contextmcp.asgi:application"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gate_process(**options: Any) -> Iterator[GateProcess]:
    made = GateProcess(**options)
    try:
        yield made.wait()
    finally:
        made.stop()


class Http:
    """One connection. `request` gives status, headers and body."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)

    def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        sent = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if key is not None:
            sent |= credentials(path, key)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self.connection.request(method, path, data, sent)
        response = self.connection.getresponse()
        raw = response.read()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, json.loads(raw) if raw else None

    def post(self, path: str, body: Any = None, **options: Any) -> tuple[int, dict[str, str], Any]:
        return self.request("POST", path, body, **options)
