"""Attack the gate and the web server with anonymous clients: a customer's calls stay fast, and the memory of both stays bounded."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

import psutil

from accounts.key_format import generate
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.usage import subscribe
from tests.soak import services
from tests.soak.metrics import Figures
from tests.soak.options import Options
from tests.support.gates import GateProcess, Http, WebProcess, running

AUTHORIZE = "/api/usage/authorize"
LIMIT = 2 * 2**20
IDLE, SLOW, LARGE = 5000, 200, 20
CALLS, ROUNDS = 300, 4
Attack = Callable[[int, Options], AbstractContextManager[None]]
# Rounds with and without the attack alternate, so that other load on the machine affects both. The ratio compares the medians of their p99.
WORST_RATIO = 3.0
WORST_MEMORY_RATIO = 2.0


def run(options: Options) -> Figures:
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most_files, IDLE + 1000), most_files))
    figures = Figures()
    with services.database():
        organization = OrganizationFactory(owner=UserFactory())
        subscribe(organization)
        key = Person(organization.memberships.get()).key
        for server in (GateProcess, WebProcess):
            with running(server, LOG_LEVEL="ERROR") as process:
                for name, attack in ATTACKS.items():
                    _measure(figures, f"{server.name}: {name}", attack, process, key, options)
    return figures


def _measure(figures: Figures, name: str, attack: Attack, server: GateProcess, key: str, options: Options) -> None:
    worker = psutil.Process(server.process.pid).children()[0]
    quiet: list[float] = []
    attacked: list[float] = []
    _p99(server.port, key, options)
    before, most, failures = worker.memory_info().rss, 0, 0
    for _ in range(ROUNDS):
        quiet.append(_p99(server.port, key, options)[0])
        with attack(server.port, options):
            p99, failed = _p99(server.port, key, options)
            attacked.append(p99)
            failures += failed
            most = max(most, worker.memory_info().rss)
    ratio = sorted(attacked)[ROUNDS // 2] / sorted(quiet)[ROUNDS // 2]
    figures.at_most(f"{name}: p99 of other clients, ratio", ratio, WORST_RATIO)
    figures.at_most(f"{name}: failed calls of other clients", failures, 0)
    figures.at_most(f"{name}: memory, ratio", most / before, WORST_MEMORY_RATIO)


def _p99(port: int, key: str, options: Options) -> tuple[float, int]:
    """Return the 99th percentile of a customer's calls in seconds, and the number of failures. Every tenth call uses a new connection."""
    seconds, failed = [], 0
    client = Http(port)
    for number in range(options.many(CALLS, minimum=100)):
        if number % 10 == 0:
            client.connection.close()
            client = Http(port)
        start = time.perf_counter()
        failed += client.post(AUTHORIZE, {"feature": "context_queries"}, key=key)[0] not in (200, 429)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[int(len(seconds) * 0.99)], failed


@contextmanager
def idle_connections(port: int, options: Options) -> Iterator[None]:
    with _connections(port, options.many(IDLE)):
        yield


@contextmanager
def slow_bodies(port: int, options: Options) -> Iterator[None]:
    """Send incomplete bodies of the maximum size, half of them with a well-formed but unknown key."""
    with _connections(port, options.many(SLOW)) as connections:
        for number, connection in enumerate(connections):
            with suppress(OSError):
                connection.sendall(_head(LIMIT, generate("test") if number % 2 else "") + b" " * (LIMIT - 1))
        yield


@contextmanager
def large_bodies(port: int, options: Options) -> Iterator[None]:
    """Send bodies of a gigabyte, with a content length and in chunks."""
    with _connections(port, options.many(LARGE)) as connections:
        for number, connection in enumerate(connections):
            head = _head(10**9, generate("test"))
            if number % 2:
                head = head.replace(b"Content-Length: 1000000000", b"Transfer-Encoding: chunked")
            with suppress(OSError):
                connection.sendall(head)
                for _ in range(1000):
                    connection.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        yield


ATTACKS = {"idle connections": idle_connections, "slow bodies": slow_bodies, "bodies of 1 GB": large_bodies}


@contextmanager
def _connections(port: int, number: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        connections = []
        for _ in range(number):
            connections.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), 30)))
        yield connections


def _head(length: int, key: str) -> bytes:
    headers = ["Host: localhost", "Content-Type: application/json", f"Content-Length: {length}"]
    if key:
        headers.append(f"Authorization: Bearer {key}")
    return "\r\n".join([f"POST {AUTHORIZE} HTTP/1.1", *headers, "", ""]).encode()
