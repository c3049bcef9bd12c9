"""The baselines by name, each with a number of connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.bench import requests
from tests.bench.sample import Http
from tests.bench.sites import Bench

PLAIN = "minimal Django view"
WSGI = "bare WSGI server"
ASGI = "bare ASGI server"
RSGI = "bare RSGI server"
FRAMEWORK = "DRF view"
API_KEY = "djangorestframework-api-key"
USUAL = "the usual stack"
GET_OR_CREATE = "DRF get_or_create"


def plain(bench: Bench, connections: int = 16) -> Http:
    """Return headers with an API key, because every measured request has one."""
    get = [requests.request("GET", "/plain", headers=head) for head in bench.peers.heads()[:50]]
    return Http(PLAIN, bench.world, bench.peers.quick, lambda: requests.cycle(get), connections)


def bare_wsgi(bench: Bench, connections: int = 16) -> Http:
    return Http(WSGI, bench.world, bench.peers.bare_wsgi, _gets(bench, "/"), connections)


def bare_asgi(bench: Bench, connections: int = 16) -> Http:
    return Http(ASGI, bench.world, bench.peers.bare_asgi, _gets(bench, "/"), connections)


def bare_rsgi(bench: Bench, connections: int = 16) -> Http:
    return Http(RSGI, bench.world, bench.peers.bare_rsgi, _gets(bench, "/"), connections)


def framework(bench: Bench, connections: int = 16) -> Http:
    return Http(FRAMEWORK, bench.world, bench.peers.quick, _gets(bench, "/drf"), connections)


def api_key(bench: Bench, connections: int = 16) -> Http:
    return Http(API_KEY, bench.world, bench.peers.waiting, _gets(bench, "/api-key"), connections)


def usual(bench: Bench, connections: int = 16) -> Http:
    """Check the key, throttle in Valkey, UPDATE in Postgres; each request is another organization's."""
    ready = [requests.request("POST", "/usual", b"{}", head) for head in bench.peers.heads()]
    return Http(USUAL, bench.world, bench.peers.waiting, lambda: requests.cycle(ready), connections, expect=b'"allowed":true')


def get_or_create(bench: Bench, connections: int = 16) -> Http:
    return Http(
        GET_OR_CREATE,
        bench.world,
        bench.peers.waiting,
        lambda: requests.posts("/event", bench.peers.heads(), requests.event),
        connections,
        expect=b'"accepted":1',
    )


def _gets(bench: Bench, path: str) -> Callable[[], Iterator[bytes]]:
    ready = [requests.request("GET", path, headers=head) for head in bench.peers.heads()]
    return lambda: requests.cycle(ready)
