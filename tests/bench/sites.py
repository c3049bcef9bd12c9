"""The measured sites: the baselines' server and the product's, each with a database that is created on first use."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg

from contextmcp.devstack import databases
from tests.bench import requests
from tests.bench.compare import Options, say
from tests.bench.grow import grow
from tests.bench.load import present
from tests.bench.servers import Server, World

WEB = "contextmcp.asgi:application"
GATE = "contextmcp.gate"
CHECK = "/api/entitlements/check"
FLAG = b'{"feature":"team_collaboration"}'
BASELINES = "tests.bench.baselines"
WEBHOOK_SECRET = "whsec_" + "b" * 32
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "contextmcp.settings.production",
    "SECRET_KEY": "bench" * 10,
    "API_KEY_SECRETS": "1:" + "bc" * 32,
    "KEY_ENVIRONMENT": "test",
    "ALLOWED_HOSTS": "127.0.0.1",
    "PUBLIC_URL": "https://bench.example",
    "SECURE_SSL_REDIRECT": "false",
    "EMAIL_URL": "dummymail://",
    "DEFAULT_FROM_EMAIL": "bench@bench.dev",
    "LOG_LEVEL": "WARNING",
    # No measure calls Stripe. An unreachable address ensures that.
    "STRIPE_SECRET_KEY": "sk_test_" + "b" * 24,
    "STRIPE_API_BASE": "http://127.0.0.1:9",
    "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
}


@dataclass
class Peers:
    """Bare servers, Django, DRF and packages built on them."""

    world: World
    options: Options

    @cached_property
    def url(self) -> str:
        return self.world.database("peers")

    @cached_property
    def environment(self) -> dict[str, str]:
        return {"DATABASE_URL": self.url}

    @cached_property
    def keys(self) -> list[tuple[int, str]]:
        """Return some of the keys, with their organizations."""
        say(f"Preparing the peers: {self.options.peers:,} keys ...")
        path = self.world.home / "peers.json"
        self.world.run(f"{BASELINES}.prepare", self.options.peers, path, environment=self.environment)
        result: list[tuple[int, str]] = json.loads(path.read_text())
        path.unlink()
        return result

    @cached_property
    def bare_wsgi(self) -> Server:
        return self.world.granian("bare-wsgi", f"{BASELINES}.bare:wsgi", {}, "--blocking-threads", "1")

    @cached_property
    def bare_asgi(self) -> Server:
        return self.world.granian("bare-asgi", f"{BASELINES}.bare:asgi", {}, interface="asgi")

    @cached_property
    def bare_rsgi(self) -> Server:
        return self.world.granian("bare-rsgi", f"{BASELINES}.bare:Rsgi", {}, "--factory", interface="rsgi")

    @cached_property
    def quick(self) -> Server:
        """Start a server for views that never wait: one thread per worker is fastest."""
        return self._django("django", "1")

    @cached_property
    def waiting(self) -> Server:
        """Start a server for views that wait for the database."""
        return self._django("django-database", "2")

    def _django(self, name: str, threads: str) -> Server:
        assert self.keys
        return self.world.granian(name, f"{BASELINES}.wsgi:application", self.environment, "--blocking-threads", threads)

    def heads(self) -> list[dict[str, str]]:
        return [{"Authorization": f"Api-Key {key}", "X-Organization": str(number)} for number, key in self.keys]


@dataclass
class Product:
    """ContextMCP with every guarantee, as it is deployed: the web server, and the gate."""

    world: World
    options: Options
    name: str
    events: int = 0

    @cached_property
    def seeded(self) -> dict[str, Any]:
        """Return its organizations and keys. Creating them creates the database."""
        count = self.options.keys
        say(f"Preparing {self.name}: {self.options.organizations:,} organizations, {count:,} keys, {self.events:,} events ...")
        template = databases.template(self.world.running.database_url, {**SETTINGS, "REDIS_URL": self.world.running.redis_url})
        url = self.world.database(self.name, template)
        path = self.world.home / f"{self.name}.json"
        self.world.run("tests.bench.seed", self.options.organizations, count, path, environment=self._environment(url))
        result: dict[str, Any] = json.loads(path.read_text())
        path.unlink()
        if self.events:
            grow(url, result["organizations"], (result["period"][0], result["period"][1]), self.events)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        return result | {"url": url}

    def _environment(self, url: str) -> dict[str, str]:
        return {**SETTINGS, "DATABASE_URL": url, "CACHE_PREFIX": f"{self.world.prefix}_{self.name}"}

    @property
    def environment(self) -> dict[str, str]:
        return self._environment(self.seeded["url"])

    @property
    def keys(self) -> list[str]:
        """Return key number n, which belongs to organization n modulo their count."""
        keys: list[str] = self.seeded["keys"]
        return keys

    @cached_property
    def web(self) -> Server:
        environment = {**self.environment, "WEB_THREADS": "2"}
        server = self.world.granian(f"{self.name}-web", WEB, environment, "--loop", "uvloop", "--http", "1", interface="asginl")
        return self.warm(server, passes=5)

    @cached_property
    def gate(self) -> Server:
        """Return the gate's server."""
        workers = self.options.gate_workers
        return self.warm(self._gate(f"{self.name}-gate", workers), passes=1 if workers == 1 else 5)

    def lone_gate(self) -> Server:
        """Start a gate with one worker, for measures that depend on its cache. The caller stops it."""
        return self._gate(f"{self.name}-gate-1", 1)

    def warm(self, server: Server, passes: int) -> Server:
        """Send the keys of `many` once, so that they are cached. The first call of an organization is measured by `cold` only."""
        for _ in range(passes):
            present(server.port, list(itertools.islice(self.posting(CHECK, FLAG, self.many()), len(self.many()))))
        return server

    def _gate(self, name: str, workers: int) -> Server:
        command = [sys.executable, "-m", GATE, "--workers", str(workers)]
        return self.world.serve(name, command, self.environment)

    def one(self) -> list[str]:
        """Return the keys of one organization, the busiest."""
        count = self.options.organizations
        return self.keys[::count][:10]

    def many(self, count: int = 1_000) -> list[str]:
        """Return at most `count` keys of as many organizations."""
        return self.keys[: min(count, self.options.organizations)]

    @cached_property
    def unmet(self) -> Iterator[str]:
        """Return keys that no server has cached yet, from the end of the list; it repeats if there are too few."""
        return itertools.cycle(reversed(self.keys))

    def heads(self, keys: Sequence[str]) -> list[dict[str, str]]:
        return [requests.bearer(key) for key in keys]

    def service_heads(self, keys: Sequence[str]) -> list[dict[str, str]]:
        """Return the headers of the vendor's server, which names each customer by their key."""
        return [requests.bearer(self.seeded["service_key"]) | {"ContextMCP-Credential": key} for key in keys]

    def posting(self, path: str, body: bytes, keys: Sequence[str]) -> Iterator[bytes]:
        """Return the same request with one key after the other."""
        return requests.cycle([requests.request("POST", path, body, head) for head in self.heads(keys)])

    @cached_property
    def guesses(self) -> dict[str, Iterator[bytes]]:
        """Return well-formed invalid keys: `unknown` ones, or keys of `stale` rows, which only bcrypt can refuse. Each is sent once."""
        return {
            kind: (requests.request("POST", CHECK, FLAG, requests.bearer(raw)) for raw in raws)
            for kind, raws in self.seeded["guesses"].items()
        }


@dataclass
class Bench:
    """Everything that a measure can use."""

    world: World
    options: Options
    peers: Peers = field(init=False)
    empty: Product = field(init=False)
    grown: Product = field(init=False)

    def __post_init__(self) -> None:
        self.peers = Peers(self.world, self.options)
        self.empty = Product(self.world, self.options, "empty")
        self.grown = Product(self.world, self.options, "grown", self.options.events)
