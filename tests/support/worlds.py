"""Whole local worlds for tests: the product's real processes with Stripe's simulator and mail around them, each one killable."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from contextmcp.local import databases, ports, processes, runner
from contextmcp.local import world as worlds
from contextmcp.local.services import Services, default_home
from contextmcp.local.world import World

# What a process needs of ours; the rest of the environment is what these tests run in, not what they are about.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")


class Process:
    """One process of a world, with all that it starts."""

    def __init__(self, name: str, command: Sequence[str], env: dict[str, str], log: Path) -> None:
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self.popen = subprocess.Popen(
                list(command),
                env={**env, "PYTHONUNBUFFERED": "1"},
                cwd=runner.REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=processes.die_with_parent,  # noqa: PLW1509  (one thread starts them)
            )

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def kill(self) -> None:
        """As the machine would, its children too: no goodbye."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)

    def stop(self) -> None:
        self.popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(10)
        self.kill()


class Running:
    """A world that runs. `start`, `kill` and `stop` take the names of its processes: web, worker, stripe, mail."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.processes: dict[str, Process] = {}

    @property
    def url(self) -> str:
        return self.world.url

    @property
    def stripe_url(self) -> str:
        assert self.world.stripe_url
        return self.world.stripe_url

    @property
    def mail_url(self) -> str:
        return self.world.mail_url

    @property
    def definitions(self) -> dict[str, runner.Definition]:
        return {each.name: each for each in [*runner.helpers(self.world), *runner.product(self.world)]}

    def log(self, name: str) -> str:
        path = Path(self.world.home) / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, *names: str) -> None:
        """And wait until they serve."""
        for name in names:
            wanted = self.definitions[name]
            environment = {**self.world.environment, **wanted.env}
            self.processes[name] = Process(name, wanted.command, environment, Path(self.world.home) / "logs" / f"{name}.log")
        for name in names:
            if port := self.definitions[name].port:
                self.until(lambda port=port: runner.listens(port), f"{name} listens")  # type: ignore[misc]
        if "web" in names:
            self.until(lambda: runner.answers(f"http://127.0.0.1:{self.world.port}/livez"), "web answers")

    def kill(self, *names: str) -> None:
        for name in names:
            self.processes.pop(name).kill()

    def stop(self, *names: str) -> None:
        for name in names or list(self.processes)[::-1]:
            self.processes.pop(name).stop()

    def prepare(self, *, migrated: bool) -> None:
        admin = {"CONTEXTMCP_ADMIN_EMAIL": self.world.admin_email, "CONTEXTMCP_ADMIN_PASSWORD": self.world.admin_password}
        command = (*runner.PREPARE, *(["--migrated"] if migrated else []))
        done = subprocess.run(command, env={**self.world.environment, **admin}, cwd=runner.REPOSITORY, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()

    def until(self, ready: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """The first truthy answer. A process that ended meanwhile is told with its last words."""
        deadline = time.monotonic() + seconds
        while True:
            if found := ready():
                return found
            for name, process in self.processes.items():
                assert process.alive, f"{name} ended with {process.popen.returncode}: {self.log(name)[-2000:]}"
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
            time.sleep(0.05)

    def readyz(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def database(name: str, url: str, *, migrated: bool) -> Iterator[str]:
    """A database of its own on that server, migrated or empty."""
    # The tests' own template: it has the same migrations, and a second one would drive it out.
    template = databases.template(url, {"DJANGO_SETTINGS_MODULE": "contextmcp.settings.test"}) if migrated else None
    # By this form of name a later run knows what a killed one left.
    name = f"test_run_{os.getpid()}_{secrets.token_hex(3)}_{name}"
    try:
        yield databases.create(url, name, template)
    finally:
        databases.drop(url, name)


@contextmanager
def running(name: str, *, own: Services | None = None, **given: str) -> Iterator[Running]:
    """A world of this name with all of its processes up, on the test run's servers or on its `own`, which a test may then kill.

    `given` is added to what they find in their environment; an empty value stays one.
    """
    home = default_home() / f"world-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{name}"
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        environment = {each: os.environ[each] for each in PASSED_ON if each in os.environ}
        url, redis = (own.database_url, own.redis_url) if own else (os.environ["DATABASE_URL"], os.environ["REDIS_URL"])
        # A server of the user's keeps no template of ours.
        migrated = own is not None or os.environ.get("CONTEXTMCP_TEST_TEMPLATES") == "1"
        environment["DATABASE_URL"] = stack.enter_context(database(name, url, migrated=migrated))
        # One customer does in minutes what many do in a day.
        environment |= {"API_KEYS_PER_HOUR": "10000", "INVITATIONS_PER_HOUR": "10000", "INVITATIONS_PER_DAY": "10000"}
        environment |= {"REDIS_URL": redis, "CACHE_PREFIX": f"{os.environ['CONTEXTMCP_TEST_KEY_PREFIX']}:{name}", **given}
        claims = stack.enter_context(ports.claims())
        built = worlds.build(home, claims, environment)
        # An empty value counts as none there; here it is a setting.
        built.environment.update(given)
        for left in (home / "stripe", home / "logs"):
            subprocess.run(["rm", "-rf", str(left)], check=True)
        world = Running(built)
        stack.callback(world.stop)
        world.start(*(each.name for each in runner.helpers(built)))
        world.prepare(migrated=migrated)
        world.start(*(each.name for each in runner.product(built)))
        built.save()
        yield world


@pytest.fixture(scope="session")
def world() -> Iterator[Running]:
    """One for all who do not break it."""
    with running("shared") as found:
        yield found
