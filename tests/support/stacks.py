"""Complete stacks for tests: the product's processes, Stripe's simulator and a mail server, each of which can be killed."""

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

from contextmcp.devstack import databases, ports, processes, runner
from contextmcp.devstack import stack as worlds
from contextmcp.devstack.services import REPOSITORY, Services, default_home
from contextmcp.devstack.stack import World
from tests import plugin_services

# The variables that a process needs. The rest of the environment belongs to the test run.
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")


class Process:
    """One process of a stack, with its descendants."""

    def __init__(self, name: str, command: Sequence[str], env: dict[str, str], log: Path) -> None:
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            self.popen = subprocess.Popen(
                list(command),
                env={**env, "PYTHONUNBUFFERED": "1"},
                cwd=REPOSITORY,
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
        """Send SIGKILL to the process and its children, as a power failure would end them."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)

    def stop(self) -> None:
        self.popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.popen.wait(10)
        self.kill()


class Running:
    """A running stack. `start`, `kill` and `stop` take the names of its processes: web, worker, stripe, mail."""

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
        """Start the processes and wait until they serve."""
        for name in names:
            definition = self.definitions[name]
            environment = {**self.world.environment, **definition.env}
            self.processes[name] = Process(name, definition.command, environment, Path(self.world.home) / "logs" / f"{name}.log")
        for name in names:
            if port := self.definitions[name].port:
                self.until(lambda port=port: runner.listens(port), f"{name} listens")  # type: ignore[misc]
        if "web" in names:
            self.until(lambda: runner.responds(f"http://127.0.0.1:{self.world.port}/livez"), "web answers")

    def kill(self, *names: str) -> None:
        for name in names:
            self.processes.pop(name).kill()

    def stop(self, *names: str) -> None:
        for name in names or list(self.processes)[::-1]:
            self.processes.pop(name).stop()

    def prepare(self, *, migrated: bool) -> None:
        admin = {"CONTEXTMCP_ADMIN_EMAIL": self.world.admin_email, "CONTEXTMCP_ADMIN_PASSWORD": self.world.admin_password}
        command = (*runner.PREPARE, *(["--migrated"] if migrated else []))
        done = subprocess.run(command, env={**self.world.environment, **admin}, cwd=REPOSITORY, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()

    def until(self, ready: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """Return the first truthy result of `probe`. If a process has ended meanwhile, its last output is reported."""
        deadline = time.monotonic() + seconds
        while True:
            if result := ready():
                return result
            for name, process in self.processes.items():
                assert process.alive, f"{name} ended with {process.popen.returncode}: {self.log(name)[-2000:]}"
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
            time.sleep(0.05)

    def readyz(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
            document: dict[str, Any] = json.load(answer)
        return document


@contextmanager
def database(name: str, url: str, *, migrated: bool) -> Iterator[str]:
    """Yield a new database on that server, migrated or empty."""
    # The template of the tests has the same migrations, and a second template would replace it.
    template = databases.template(url, {"DJANGO_SETTINGS_MODULE": "contextmcp.settings.test"}) if migrated else None
    # This form of the name lets a later run find the databases of a killed one.
    name = f"test_run_{os.getpid()}_{secrets.token_hex(3)}_{name}"
    try:
        yield databases.create(url, name, template)
    finally:
        databases.drop(url, name)


@contextmanager
def running(name: str, *, own: Services | None = None, left_out: Sequence[str] = ("gateway", "notes"), **extra: str) -> Iterator[Running]:
    """Yield a stack with all its processes, on the servers of the test run or on its `own`, which a test may then kill.

    The MCP gateway and its server are left out by default, because their start takes as long as all others'.

    `extra` is added to the environment of the processes; an empty value remains set.
    """
    home = default_home() / f"world-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{name}"
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        environment = {each: os.environ[each] for each in PASSED_ON if each in os.environ}
        if own is None:
            plugin_services.start()
        url, redis = (own.database_url, own.redis_url) if own else (os.environ["DATABASE_URL"], os.environ["REDIS_URL"])
        # A server of the user's keeps no template of ours.
        migrated = own is not None or plugin_services.has_templates()
        environment["DATABASE_URL"] = stack.enter_context(database(name, url, migrated=migrated))
        # One customer does in minutes what many do in a day, so the limits are raised.
        environment |= {"API_KEYS_PER_HOUR": "10000", "INVITATIONS_PER_HOUR": "10000", "INVITATIONS_PER_DAY": "10000"}
        environment |= {"BILLING_REQUESTS_PER_MINUTE": "10000"}
        environment |= {"REDIS_URL": redis, "CACHE_PREFIX": f"{os.environ['CONTEXTMCP_TEST_KEY_PREFIX']}:{name}", **extra}
        claims = stack.enter_context(ports.claims())
        built = worlds.build(home, claims, environment)
        # The stack treats an empty value as unset; here it is a setting.
        built.environment.update(extra)
        for remaining in (home / "stripe", home / "logs"):
            subprocess.run(["rm", "-rf", str(remaining)], check=True)
        world = Running(built)
        stack.callback(world.stop)
        world.start(*(each.name for each in runner.helpers(built)))
        world.prepare(migrated=migrated)
        world.start(*(each.name for each in runner.product(built) if each.name not in left_out))
        built.save()
        yield world
