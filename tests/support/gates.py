"""Start real gate processes on the test's database, and an HTTP client that keeps its connection."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from contextmcp.devstack.services import REPOSITORY

from .api import credentials


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that uses this test's database and settings."""
    name = connection.settings_dict["NAME"]
    return {**os.environ, "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl(), **more}


class GateProcess:
    name = "gate"

    def __init__(self, *, workers: int = 1, port: int = 0, **more: str) -> None:
        self.port = port or free_port()
        self.process = subprocess.Popen(self.command(workers), cwd=REPOSITORY, env=environment(**more), start_new_session=True)

    def command(self, workers: int) -> list[str]:
        return [sys.executable, "-m", "contextmcp.gate", "--port", str(self.port), "--workers", str(workers)]

    def wait(self, timeout: float = 60) -> "GateProcess":
        until = time.monotonic() + timeout
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if Http(self.port).request("GET", "/livez")[0] == 200:
                    return self
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise AssertionError(f"the {self.name} did not start")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL to the process and its workers, which are a process group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)


class WebProcess(GateProcess):
    """Start Django as in a deployment. It answers the same calls."""

    name = "web"

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
def running(server: type[GateProcess], **options: Any) -> Iterator[GateProcess]:
    process = server(**options)
    try:
        yield process.wait()
    finally:
        process.stop()


def gate_process(**options: Any) -> AbstractContextManager[GateProcess]:
    return running(GateProcess, **options)


class Http:
    """One connection. `request` returns status, headers and body."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)

    def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        sent_headers = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if key is not None:
            sent_headers |= credentials(path, key)
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        self.connection.request(method, path, data, sent_headers)
        response = self.connection.getresponse()
        raw = response.read()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, json.loads(raw) if raw else None

    def post(self, path: str, body: Any = None, **options: Any) -> tuple[int, dict[str, str], Any]:
        return self.request("POST", path, body, **options)
