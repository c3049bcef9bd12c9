"""`make run` and `make demo`: start and stop the whole product on one machine."""

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

from contextmcp.devstack import databases, mcp_upstream, ports, services
from contextmcp.devstack import stack as worlds
from contextmcp.devstack.services import REPOSITORY, Services
from contextmcp.devstack.stack import World
from contextmcp.devstack.supervisor import Stopped, Supervisor

PYTHON = sys.executable
MANAGE = (PYTHON, str(REPOSITORY / "manage.py"))
WORK = ("procrastinate", "worker", "--shutdown-graceful-timeout", "5")
PREPARE = (PYTHON, "-m", "contextmcp.devstack.bootstrap")
# The line that the bootstrap prints when the database is prepared.
PREPARED = "The database is prepared."


@dataclass(frozen=True)
class Definition:
    """A process of the stack: its command, and the port that it serves when ready, or None."""

    name: str
    command: tuple[str, ...]
    port: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def helpers(world: World) -> list[Definition]:
    """Start the services that the product needs. They must be ready before the bootstrap, because publishing the catalog calls Stripe."""
    mail = (PYTHON, "-m", "contextmcp.devstack.mail", "--smtp-port", str(world.smtp_port), "--http-port", str(world.mail_port))
    definitions = [Definition("mail", mail, world.mail_port)]
    if world.stripe_port:
        options = {
            "--port": str(world.stripe_port),
            "--data": str(Path(world.home) / "stripe"),
            "--webhook-url": world.webhook_url,
            "--webhook-secret": world.webhook_secret,
            "--secret-key": world.stripe_secret_key,
        }
        words = (word for option in options.items() for word in option)
        definitions.append(Definition("stripe", (PYTHON, "-m", "stripe_simulator", *words), world.stripe_port))
    return definitions


def product(world: World) -> list[Definition]:
    """Start the product's processes as in a deployment."""
    address = ("--host", "127.0.0.1", "--port", str(world.port))
    granian = (PYTHON, "-m", "granian", "--interface", "asginl", "--loop", "uvloop", "--http", "1", *address, "--no-ws")
    limits = ("--backpressure", "8192", "--http1-header-read-timeout", "15000", "contextmcp.asgi:application")
    gate = (PYTHON, "-m", "contextmcp.gate", "--port", str(world.gate_port))
    gateway = (PYTHON, "-m", "contextmcp.gateway", "--port", str(world.gateway_port))
    public_keys = f"http://127.0.0.1:{world.gateway_port}/.well-known/jwks.json"
    notes = (PYTHON, str(mcp_upstream.EXAMPLE / "server.py"), "--port", str(world.notes_port), "--jwks", public_keys)
    return [
        Definition("web", (*granian, *limits), world.port),
        Definition("gate", gate, world.gate_port),
        Definition("gateway", gateway, world.gateway_port),
        *([Definition("notes", notes, world.notes_port)] if world.notes_port else []),
        Definition("worker", (*MANAGE, *WORK)),
    ]


def run(home: Path) -> int:
    """Run a development server on a database that is kept."""
    with together(home) as (running, world):
        environment = world.environment
        if running.postgres and not databases.exists(running.database_url, "contextmcp"):
            databases.create(running.database_url, "contextmcp", databases.template(running.database_url, environment))
        # The report of the demo describes a stack that no longer exists.
        (home / "demo.json").unlink(missing_ok=True)
        world.save()
        with Supervisor(home / "logs", echo=True) as supervisor:
            bring_up(supervisor, world, own_database=running.postgres is not None)
            announce(world)
            supervisor.serve()
    return 0


def demo(home: Path, *, once: bool) -> int:
    """Run the tour with a new database and a new simulator, then serve until stopped. With `once`, return the tour's result."""
    start = time.monotonic()
    with together(home) as (running, world), fresh_database(home, running, world.environment):
        if "MCP_UPSTREAM" in world.environment:
            mcp_upstream.require_reachable(world.environment["MCP_UPSTREAM"])
        shutil.rmtree(home / "stripe", ignore_errors=True)
        (home / "demo.json").unlink(missing_ok=True)
        with Supervisor(home / "logs", echo=False) as supervisor:
            bring_up(supervisor, world, own_database=True, migrated=running.postgres is not None)
            say(f"Serving on {world.url} after {time.monotonic() - start:.1f} s.")
            passed = tour(supervisor, world, once=once)
            if once:
                return 0 if passed else 1
            announce(world)
            supervisor.serve()
    return 0


def bring_up(supervisor: Supervisor, world: World, *, own_database: bool, migrated: bool = False) -> None:
    """Start the servers while the worker publishes the catalog, if the tables exist already."""
    servers = [each for each in product(world) if each.port]
    start(supervisor, helpers(world) + (servers if migrated else []), world.environment)
    await_ports(supervisor, helpers(world))
    environment = dict(world.environment)
    if own_database:
        environment |= {"CONTEXTMCP_ADMIN_EMAIL": world.admin_email, "CONTEXTMCP_ADMIN_PASSWORD": world.admin_password}
    worker = supervisor.start("worker", (*PREPARE, "--then-work", *(["--migrated"] if migrated else [])), environment)
    supervisor.until(lambda: PREPARED in worker.log.read_text(errors="replace"), "The database", timeout=600)
    if not migrated:
        start(supervisor, servers, world.environment)
    await_ports(supervisor, servers)
    supervisor.until(lambda: responds(f"http://127.0.0.1:{world.port}/livez"), "The web server")


def start(supervisor: Supervisor, definitions: list[Definition], environment: Mapping[str, str]) -> None:
    for each in definitions:
        supervisor.start(each.name, each.command, {**environment, **each.env})


def await_ports(supervisor: Supervisor, definitions: list[Definition]) -> None:
    for each in definitions:
        if each.port:
            supervisor.until(partial(listens, each.port), each.name)


def tour(supervisor: Supervisor, world: World, *, once: bool) -> bool:
    """Run the tour in a process of its own, so that this process continues to supervise the others."""
    path = world.save()
    if find_spec("contextmcp.devstack.tour") is None:
        say("There is no tour yet.")
        return True
    command = [PYTHON, "-m", "contextmcp.devstack", "tour", str(path), *(["--once"] if once else [])]
    return supervisor.run("tour", command, world.environment) == 0


@contextmanager
def together(home: Path) -> Iterator[tuple[Services, World]]:
    """Yield the stack of this home: its servers run, its ports are claimed, its environment is complete."""
    # Variables that the environment already names are not overwritten.
    environ.Env.read_env(REPOSITORY / ".env")
    home.mkdir(parents=True, exist_ok=True)
    with (home / "runner.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Stopped(
                f"The product already runs here (process {lock.read().strip()}). Stop it with `make stop`, "
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
    """Create a database and a key prefix for the demo. On a server that the user configured, it is dropped afterwards."""
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


def responds(url: str) -> bool:
    """Return whether a server responds at the URL. The content of the response is checked by the tour."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def announce(world: World) -> None:
    report = Path(world.home) / "demo.json"
    owner = json.loads(report.read_text()) if report.exists() else {}
    lines = {
        "Product": world.url,
        "  sign in as": f"{owner['ownerEmail']} / {owner['ownerPassword']}" if owner.get("ownerEmail") else "",
        "  API key": f"{owner['apiKey']} (the organization of the tour)" if owner.get("apiKey") else "",
        "  API key ": f"{owner['freeApiKey']} (an organization without usage)" if owner.get("freeApiKey") else "",
        "Gate": f"{world.gate_url}/api/usage/authorize",
        "MCP server": f"{world.mcp_url} (behind plans: paste the configuration that the account pages show)",
        "Admin": world.admin_url,
        "  sign in as ": f"{world.admin_email} / {world.admin_password} (no second factor on this machine; production requires one)",
        "Mail": world.mail_url,
        "Stripe": world.stripe_url or "not simulated",
        "Logs": str(Path(world.home) / "logs"),
    }
    say("\n" + "\n".join(f"  {name:<14} {value}" for name, value in lines.items() if value) + "\n\n  Ctrl-C stops everything.")


def say(text: str) -> None:
    print(text, flush=True)
