"""`make run` and `make demo`: the whole product on one machine, started together and stopped together."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import environ

from contextmcp.local import databases, ports, services
from contextmcp.local import world as worlds
from contextmcp.local.services import REPOSITORY, Services
from contextmcp.local.supervisor import Stopped, Supervisor
from contextmcp.local.world import World

PYTHON = sys.executable
MANAGE = (PYTHON, str(REPOSITORY / "manage.py"))
WORK = ("procrastinate", "worker", "--shutdown-graceful-timeout", "5")
PREPARE = (PYTHON, "-m", "contextmcp.local.prepare")
# What it says when that is done.
PREPARED = "The database is prepared."


@dataclass(frozen=True)
class Definition:
    """A process of the world: how it is started, and the port it serves when it is ready (None: it serves none)."""

    name: str
    command: tuple[str, ...]
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def helpers(world: World) -> list[Definition]:
    """What the product needs around it. Ready before the database is prepared: publishing the catalogue talks to Stripe."""
    mail = (PYTHON, "-m", "contextmcp.local.mail", "--smtp-port", str(world.smtp_port), "--http-port", str(world.mail_port))
    found = [Definition("mail", mail, world.mail_port)]
    if world.stripe_port:
        options = {
            "--port": str(world.stripe_port),
            "--data": str(Path(world.home) / "stripe"),
            "--webhook-url": world.webhook_url,
            "--webhook-secret": world.webhook_secret,
            "--secret-key": world.stripe_secret_key,
        }
        words = (word for option in options.items() for word in option)
        found.append(Definition("stripe", (PYTHON, "-m", "contextmcp.local.stripe", *words), world.stripe_port))
    return found


def product(world: World) -> list[Definition]:
    """The product itself, as it would be deployed."""
    address = ("--host", "127.0.0.1", "--port", str(world.port))
    granian = (PYTHON, "-m", "granian", "--interface", "asginl", "--loop", "uvloop", "--http", "1", *address, "--no-ws")
    limits = ("--backpressure", "8192", "--http1-header-read-timeout", "15000", "contextmcp.asgi:application")
    gate = (PYTHON, "-m", "contextmcp.gate", "--port", str(world.gate_port))
    return [
        Definition("web", (*granian, *limits), world.port),
        Definition("gate", gate, world.gate_port),
        Definition("worker", (*MANAGE, *WORK)),
    ]


def run(home: Path) -> int:
    """A development server, on a database that stays."""
    with together(home) as (running, world):
        environment = world.environment
        if running.postgres and not databases.exists(running.database_url, "contextmcp"):
            databases.create(running.database_url, "contextmcp", databases.template(running.database_url, environment))
        # What a demo told of itself is no longer true.
        (home / "demo.json").unlink(missing_ok=True)
        world.save()
        with Supervisor(home / "logs", echo=True) as supervisor:
            bring_up(supervisor, world, own_database=running.postgres is not None)
            announce(world)
            supervisor.serve()
    return 0


def demo(home: Path, *, once: bool) -> int:
    """A fresh database and a fresh Stripe, the tour through them, then serving until stopped. With `once`, the tour's verdict."""
    began = time.monotonic()
    with together(home) as (running, world), fresh_database(home, running, world.environment):
        shutil.rmtree(home / "stripe", ignore_errors=True)
        (home / "demo.json").unlink(missing_ok=True)
        with Supervisor(home / "logs", echo=False) as supervisor:
            bring_up(supervisor, world, own_database=True, migrated=running.postgres is not None)
            say(f"Serving on {world.url} after {time.monotonic() - began:.1f} s.")
            held = tour(supervisor, world, once=once)
            if once:
                return 0 if held else 1
            announce(world)
            supervisor.serve()
    return 0


def bring_up(supervisor: Supervisor, world: World, *, own_database: bool, migrated: bool = False) -> None:
    """With the tables there already, the servers start while the catalogue is published: by the worker, before it works."""
    servers = [each for each in product(world) if each.port]
    start(supervisor, helpers(world) + (servers if migrated else []), world.environment)
    await_ports(supervisor, helpers(world))
    environment = dict(world.environment)
    if own_database:
        environment |= {"CONTEXTMCP_ADMIN_EMAIL": world.admin_email, "CONTEXTMCP_ADMIN_PASSWORD": world.admin_password}
    worker = supervisor.start("worker", (*PREPARE, "--then-work", *(["--migrated"] if migrated else [])), environment)
    supervisor.until(lambda: PREPARED in worker.log.read_text(errors="replace"), "The database", patience=600)
    if not migrated:
        start(supervisor, servers, world.environment)
    await_ports(supervisor, servers)
    supervisor.until(lambda: answers(f"http://127.0.0.1:{world.port}/livez"), "The web server")


def start(supervisor: Supervisor, definitions: list[Definition], environment: Mapping[str, str]) -> None:
    for each in definitions:
        supervisor.start(each.name, each.command, {**environment, **each.env})


def await_ports(supervisor: Supervisor, definitions: list[Definition]) -> None:
    for each in definitions:
        if each.port:
            supervisor.until(partial(listens, each.port), each.name)


def tour(supervisor: Supervisor, world: World, *, once: bool) -> bool:
    """In a process of its own, so that this one goes on watching the others."""
    path = world.save()
    if find_spec("contextmcp.local.tour") is None:
        say("There is no tour yet.")
        return True
    command = [PYTHON, "-m", "contextmcp.local", "tour", str(path), *(["--once"] if once else [])]
    return supervisor.run("tour", command, world.environment) == 0


@contextmanager
def together(home: Path) -> Iterator[tuple[Services, World]]:
    """One world per home: its servers run, its ports are claimed, its environment is complete."""
    # What the environment already names is not overwritten.
    environ.Env.read_env(REPOSITORY / ".env")
    home.mkdir(parents=True, exist_ok=True)
    with (home / "runner.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Stopped(
                f"It already runs here (process {lock.read().strip()}): `make stop` ends it, "
                "or set CONTEXTMCP_HOME to another folder to run a second one.",
                1,
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        with services.running(home) as running, ports.claims() as claims:
            world = worlds.build(home, claims, os.environ)
            world.environment.update(DATABASE_URL=running.database_url, REDIS_URL=running.redis_url)
            yield running, world


@contextmanager
def fresh_database(home: Path, running: Services, environment: dict[str, str]) -> Iterator[None]:
    """A database and key prefix of the demo's own; on a server of the user's, nothing else is touched and nothing is left."""
    name = f"contextmcp_demo_{services.home_key(home)}"
    url = running.database_url
    databases.drop(url, name)
    template = databases.template(url, environment) if running.postgres else None
    prefix = f"demo-{os.getpid()}-{int(time.time())}"
    environment.update(DATABASE_URL=databases.create(url, name, template), CACHE_PREFIX=prefix)
    try:
        yield
    finally:
        if running.postgres is None:
            databases.drop(url, name)
        if running.valkey is None:
            databases.forget_keys(running.redis_url, prefix)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def answers(url: str) -> bool:
    """Anything but a refusal to talk: what it says is the tour's business."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def announce(world: World) -> None:
    told = Path(world.home) / "demo.json"
    owner = json.loads(told.read_text()) if told.exists() else {}
    lines = {
        "Product": world.url,
        "  sign in as": f"{owner['ownerEmail']} / {owner['ownerPassword']}" if owner.get("ownerEmail") else "",
        "  API key": owner.get("apiKey", ""),
        "Gate": f"{world.gate_url}/api/usage/authorize",
        "Admin": world.admin_url,
        "  sign in as ": f"{world.admin_email} / {world.admin_password} (no second factor on this machine; production requires one)",
        "Mail": world.mail_url,
        "Stripe": world.stripe_url or "not simulated",
        "Logs": str(Path(world.home) / "logs"),
    }
    say("\n" + "\n".join(f"  {name:<14} {value}" for name, value in lines.items() if value) + "\n\n  Ctrl-C stops everything.")


def say(text: str) -> None:
    print(text, flush=True)
