"""Postgres, Valkey and web servers for the benchmark, on loopback addresses, which stop at its end."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from contextmcp.devstack import databases, postgres, processes, services
from contextmcp.devstack.ports import Claims, claims
from contextmcp.devstack.services import REPOSITORY

FIRST_PORT = 18_400
TIMEOUT_SECONDS = 40.0
# Settings of an operator with ten million events, for the baselines and the product. The defaults of the development stack suit a laptop.
SETTINGS = {"shared_buffers": "2GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min", "effective_cache_size": "8GB"}


@dataclass
class Server:
    """A process tree that serves HTTP on a port."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def family(self) -> list[psutil.Process]:
        return processes.family(psutil.Process(self.process.pid))

    def stop(self) -> None:
        """Send SIGTERM first. The process may have ended by itself."""
        with suppress(psutil.NoSuchProcess):
            processes.end(psutil.Process(self.process.pid), (signal.SIGTERM, 6.0))
        self.process.wait(10)


@dataclass
class World:
    """What runs during the benchmark. `prefix` begins the names of its databases and its keys in Valkey."""

    home: Path
    running: services.Services
    ports: Claims
    prefix: str
    web_workers: int
    servers: list[Server] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "REDIS_URL": self.running.redis_url, "PYTHONPATH": str(REPOSITORY)}

    def database(self, name: str, template: str | None = None) -> str:
        """Create a database and return its URL."""
        full = f"{self.prefix}_{name}"
        databases.drop(self.running.database_url, full)
        return databases.create(self.running.database_url, full, template)

    def drop(self, name: str) -> None:
        databases.drop(self.running.database_url, f"{self.prefix}_{name}")

    def granian(self, name: str, application: str, environment: Mapping[str, str], *options: str, interface: str = "wsgi") -> Server:
        """Start the server that the product ships with."""
        command = [sys.executable, "-m", "granian", "--no-access-log", "--log-level", "warning", "--no-ws"]
        shape = ["--workers", str(self.web_workers), "--interface", interface]
        return self.serve(name, [*command, *shape, *options, application], environment)

    def serve(self, name: str, command: list[str], environment: Mapping[str, str]) -> Server:
        """Start a server with `--host` and `--port`, and wait until it responds."""
        port = self.ports.first_free(FIRST_PORT)
        logs = self.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port)],
                cwd=REPOSITORY,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=processes.die_with_parent,  # noqa: PLW1509 - there is one thread
            )
        server = Server(name, port, process)
        self.servers.append(server)
        _await(server, logs / f"{name}.log")
        return server

    def run(self, module: str, *arguments: object, environment: Mapping[str, str]) -> None:
        """Run a process that prepares data, to its end."""
        command = [sys.executable, "-m", module, *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            preexec_fn=processes.die_with_parent,
        )
        if done.returncode:
            raise RuntimeError(f"{module} failed:\n{done.stdout[-4000:]}")

    def stop(self, server: Server) -> None:
        server.stop()
        self.servers.remove(server)

    def backends(self) -> list[psutil.Process]:
        """Return the processes of Postgres and Valkey."""
        mine = (self.running.postgres, self.running.valkey)
        matches = [server.process for server in mine if server is not None]
        return [one for process in matches if process is not None for one in processes.family(process)]


def _await(server: Server, log: Path) -> None:
    until = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < until:
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.name} ended at once:\n{log.read_text()[-3000:]}")
        # Listening is not enough: granian listens before its workers have loaded the application.
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as probe,
        ):
            probe.request("GET", "/livez")
            probe.getresponse()
            return
        time.sleep(0.05)
    raise RuntimeError(f"{server.name} did not answer within {TIMEOUT_SECONDS:.0f} s:\n{log.read_text()[-3000:]}")


@contextmanager
def world(home: Path, web_workers: int) -> Iterator[World]:
    """Start Postgres and Valkey under `home`. Afterwards stop everything and drop the databases."""
    # The user's own servers must not be loaded with a benchmark.
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    postgres.SETTINGS.update(SETTINGS)
    prefix = f"bench_{os.getpid()}_{secrets.token_hex(2)}"
    with services.running(home) as running, claims() as ports:
        created = World(home, running, ports, prefix, web_workers)
        _drop_leftovers(running.database_url)
        try:
            yield created
        finally:
            for server in reversed(created.servers):
                server.stop()
            _drop(running.database_url, prefix)
            databases.forget_keys(running.redis_url, prefix)


def _drop_leftovers(url: str) -> None:
    """Drop the databases of killed runs, which their process IDs identify."""
    with databases.connect(url) as connection:
        names = [name for (name,) in connection.execute(r"SELECT datname FROM pg_database WHERE datname LIKE 'bench\_%'").fetchall()]
    for name in names:
        if not psutil.pid_exists(int(name.split("_")[1])):
            databases.drop(url, name)


def _drop(url: str, prefix: str) -> None:
    with databases.connect(url) as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix]).fetchall()
    for (name,) in names:
        databases.drop(url, name)
