"""Real worker processes, for tests that kill them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from stripe_simulator.testing import Running

from tests.support.stripe import SECRET_KEY, WEBHOOK_SECRET

ROOT = Path(__file__).resolve().parents[2]


def environment(server: Running | None = None) -> dict[str, str]:
    """Return the environment for a process that uses this test's database and simulator."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    variables = os.environ | {
        "DJANGO_SETTINGS_MODULE": "contextmcp.settings.test",
        "DATABASE_URL": url,
        "REDIS_URL": settings.REDIS_URL,
    }
    if server:
        variables |= {
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_API_BASE": server.base_url,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
    return variables


class Worker:
    """`manage.py procrastinate worker` as in a deployment."""

    def __init__(self, server: Running | None = None, *, log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "procrastinate", "worker", "--shutdown-graceful-timeout", "5"],
                cwd=ROOT,
                env=environment(server),
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        """Send SIGKILL to the process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@pytest.fixture
def workers(tmp_path: Path, stripe_server: Running) -> Iterator[Callable[[], Worker]]:
    """Yield a function that starts a worker. All workers are stopped at the end."""
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(stripe_server, log=tmp_path / f"worker-{len(started)}.log"))
        return started[-1]

    yield start
    for worker in started:
        worker.stop()


def until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")


@contextmanager
def held(sql: str, parameters: list[Any]) -> Iterator[None]:
    """Hold the locks of `sql` on a separate connection."""
    url = environment()["DATABASE_URL"]
    with psycopg.connect(url) as other:
        other.execute(sql, parameters)
        yield
