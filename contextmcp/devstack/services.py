"""Embedded Postgres and Valkey: started when needed, shared by several processes, and stopped after the last of these has ended."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from contextmcp.devstack.postgres import Postgres, ServiceError, home_key
from contextmcp.devstack.valkey import Valkey

__all__ = ["Postgres", "ServiceError", "Services", "Valkey", "choose", "default_home", "guard", "home_key", "running", "start", "stop"]

REPOSITORY = Path(__file__).resolve().parents[2]
USERS = "users.lock"


@dataclass(frozen=True)
class Services:
    """The database and the cache. A server that is None was configured by the environment."""

    database_url: str
    redis_url: str
    postgres: Postgres | None = None
    valkey: Valkey | None = None


def default_home() -> Path:
    """Return the directory for local data."""
    return Path(os.environ.get("CONTEXTMCP_HOME") or REPOSITORY / ".local").resolve()


def choose(home: Path, environment: Mapping[str, str] = os.environ) -> Services:
    """Return the servers that DATABASE_URL and REDIS_URL in `environment` name, or else this home's servers. Nothing is started."""
    postgres = None if environment.get("DATABASE_URL") else Postgres(home)
    valkey = None if environment.get("REDIS_URL") else Valkey(home)
    return Services(
        database_url=postgres.url() if postgres else environment["DATABASE_URL"],
        redis_url=valkey.url if valkey else environment["REDIS_URL"],
        postgres=postgres,
        valkey=valkey,
    )


def start(home: Path, environment: Mapping[str, str] = os.environ, *, durable: bool = True) -> Services:
    """Start the chosen servers of this home that are not running. They run until `stop`. `durable` is Postgres's (`NOT_DURABLE`)."""
    home.mkdir(parents=True, exist_ok=True)
    services = choose(home, environment)
    with _alone(home):
        if services.postgres:
            services.postgres.start(durable=durable)
        if services.valkey:
            services.valkey.start()
    return services


def stop(home: Path) -> None:
    """Stop all servers of this home, including those that other processes started."""
    if home.is_dir():
        with _alone(home):
            _stop(home)


@contextmanager
def running(home: Path, environment: Mapping[str, str] = os.environ, *, keep: bool = False, durable: bool = True) -> Iterator[Services]:
    """Run servers for the duration of the block. Others may share them. The last user stops them, unless `keep` is true."""
    home.mkdir(parents=True, exist_ok=True)
    services = reaper = None
    last = False
    try:
        with (home / USERS).open("a") as users:
            # Each user holds a shared lock. The kernel releases it when a process dies, so the count is always right.
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                if not keep:
                    reaper = _spawn_guard(home)
                services = start(home, environment, durable=durable)
                yield services
            finally:
                if not keep:
                    with _alone(home):
                        last = _last(users)
                        if last:
                            _stop(home, services)
    finally:
        if reaper and last:
            # The reaper stops the servers when all users have ended. If a new user started in the meantime, it keeps waiting.
            with suppress(subprocess.TimeoutExpired):
                reaper.wait(5)


def guard(home: Path) -> None:
    """Wait until no user is left, then stop the servers, so that no server keeps running after `kill -9` of the last user."""
    with (home / "guard.lock").open("a") as duty, (home / USERS).open("a") as users:
        try:
            fcntl.flock(duty, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        fcntl.flock(users, fcntl.LOCK_EX)
        with _alone(home):
            _stop(home)
        # `guard.lock` is released first, because the reaper of the next user must find it free.
        fcntl.flock(duty, fcntl.LOCK_UN)
        fcntl.flock(users, fcntl.LOCK_UN)


def _spawn_guard(home: Path) -> subprocess.Popen[bytes]:
    # It has its own session and no output: a pipe that reads our output must not wait for a reaper that serves other users.
    nothing = subprocess.DEVNULL
    command = [sys.executable, "-m", "contextmcp.devstack.orphan_reaper", str(home)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def _stop(home: Path, services: Services | None = None) -> None:
    """Stop the servers through the objects that started them, if any, because these reap their child processes."""
    for server in ((services and services.valkey) or Valkey(home), (services and services.postgres) or Postgres(home)):
        server.stop()


def _last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Allow one start or stop at a time."""
    with (home / "control.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
