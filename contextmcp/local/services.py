"""Postgres and Valkey for a machine that has neither: started when first needed, shared, stopped by the last who used them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from contextmcp.local.postgres import Postgres, ServiceError, home_key
from contextmcp.local.valkey import Valkey

__all__ = ["Postgres", "ServiceError", "Services", "Valkey", "default_home", "guard", "home_key", "running", "start", "stop"]

REPOSITORY = Path(__file__).resolve().parents[2]
USERS = "users.lock"


@dataclass(frozen=True)
class Services:
    """Where database and cache are. A server that is None is not ours: its URL came from the environment."""

    database_url: str
    redis_url: str
    postgres: Postgres | None = None
    valkey: Valkey | None = None


def default_home() -> Path:
    """The folder of everything local."""
    return Path(os.environ.get("CONTEXTMCP_HOME") or REPOSITORY / ".local").resolve()


def start(home: Path) -> Services:
    """Start what does not run and is not given by DATABASE_URL and REDIS_URL. It goes on until `stop`."""
    home.mkdir(parents=True, exist_ok=True)
    postgres = None if os.environ.get("DATABASE_URL") else Postgres(home)
    valkey = None if os.environ.get("REDIS_URL") else Valkey(home)
    with _alone(home):
        if postgres:
            postgres.start()
        if valkey:
            valkey.start()
    return Services(
        database_url=postgres.url() if postgres else os.environ["DATABASE_URL"],
        redis_url=valkey.url if valkey else os.environ["REDIS_URL"],
        postgres=postgres,
        valkey=valkey,
    )


def stop(home: Path) -> None:
    """Stop what runs under this home, whoever started it."""
    if home.is_dir():
        with _alone(home):
            _stop(home)


@contextmanager
def running(home: Path, *, keep: bool = False) -> Iterator[Services]:
    """Servers for as long as the block lasts. Others may share them; the last to leave stops them, unless told to keep them."""
    home.mkdir(parents=True, exist_ok=True)
    services = guardian = None
    last = False
    try:
        with (home / USERS).open("a") as users:
            # Held shared by every user. The kernel lets go of it when a process dies, however it dies, so the count is right.
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                if not keep:
                    guardian = _spawn_guard(home)
                services = start(home)
                yield services
            finally:
                if not keep:
                    with _alone(home):
                        last = _last(users)
                        if last:
                            _stop(home, services)
    finally:
        if guardian and last:
            # It sees that all have left and goes; if others came in this moment, it stays with them.
            with suppress(subprocess.TimeoutExpired):
                guardian.wait(5)


def guard(home: Path) -> None:
    """Wait until nobody uses the servers, then stop them: `kill -9` of their last user leaves nothing behind either."""
    with (home / "guard.lock").open("a") as duty, (home / USERS).open("a") as users:
        try:
            fcntl.flock(duty, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        fcntl.flock(users, fcntl.LOCK_EX)
        with _alone(home):
            _stop(home)
        # In this order: the next user's guard must find the duty free.
        fcntl.flock(duty, fcntl.LOCK_UN)
        fcntl.flock(users, fcntl.LOCK_UN)


def _spawn_guard(home: Path) -> subprocess.Popen[bytes]:
    # A session of its own, and no output: whoever pipes ours must not wait for a guard that stays for others.
    nothing = subprocess.DEVNULL
    command = [sys.executable, "-m", "contextmcp.local.guard", str(home)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def _stop(home: Path, services: Services | None = None) -> None:
    """Through the objects that started the servers, where there are any: they reap what they started."""
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
    """One start or stop at a time."""
    with (home / "control.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
