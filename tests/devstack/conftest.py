"""Fixtures: real processes in temporary homes, none of which is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from contextmcp.devstack import services

REPOSITORY = Path(__file__).resolve().parents[2]
GIVEN = ("DATABASE_URL", "REDIS_URL", "CONTEXTMCP_HOME", "PORT", "PUBLIC_URL", "STRIPE", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")
Python = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def initialized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a Postgres that was initialized but never started. Copying it is ten times as fast as `initdb`."""
    server = services.Postgres(tmp_path_factory.mktemp("initialized"))
    server.initialize()
    yield server.data
    server.remove()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home whose servers the tests may kill, not initialized yet. The suite's own servers are not affected."""
    for name in GIVEN:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    yield home
    for each in (home, home / "other"):
        services.stop(each)
        services.Postgres(each).remove()
    remaining = belonging_to(home)
    for process in remaining:
        process.kill()
    assert remaining == []


@pytest.fixture
def data(home: Path, initialized: Path) -> None:
    """Give the home the data directory of a new Postgres."""
    data = services.Postgres(home).data
    data.parent.mkdir(mode=0o700, parents=True)
    # With modes and owners, which Postgres checks.
    subprocess.run(["cp", "-a", str(initialized), str(data)], check=True)


@pytest.fixture
def python(home: Path) -> Iterator[Python]:
    """Start Python with a script. Whatever is left of it is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "CONTEXTMCP_HOME": str(home)}
        command = [sys.executable, *arguments]
        started.append(subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, **options))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def belonging_to(home: Path) -> list[psutil.Process]:
    """Return the running processes with this home in their command line."""
    matches = []
    for process in psutil.process_iter(["cmdline", "status"]):
        alive = process.info["status"] != psutil.STATUS_ZOMBIE
        if alive and any(str(home) in word for word in process.info["cmdline"] or []):
            matches.append(process)
    return matches
