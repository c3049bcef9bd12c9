"""Postgres and Valkey for a machine that has neither: started when first needed, shared, stopped by the last who used them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from contextmcp.local.postgres import Postgres, ServiceError
from contextmcp.local.valkey import Valkey

__all__ = ["Postgres", "ServiceError", "Services", "Valkey", "default_home", "running", "start", "stop"]

REPOSITORY = Path(__file__).resolve().parents[2]


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
            _stop(Postgres(home), Valkey(home))


@contextmanager
def running(home: Path, *, keep: bool = False) -> Iterator[Services]:
    """Servers for as long as the block lasts. Others may share them; the last to leave stops them, unless told to keep them."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "users.lock").open("a") as users:
        # Held shared by every user. The kernel lets go of it when a process dies, however it dies, so the count is always right.
        fcntl.flock(users, fcntl.LOCK_SH)
        services = start(home)
        try:
            yield services
        finally:
            with _alone(home):
                if not keep and _last(users):
                    _stop(services.postgres, services.valkey)


def _stop(postgres: Postgres | None, valkey: Valkey | None) -> None:
    if valkey:
        valkey.stop()
    if postgres:
        postgres.stop()


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
