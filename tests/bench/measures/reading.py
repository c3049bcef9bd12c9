"""`GET /api/usage/current` on grown tables, against DRF that sums hours with the ORM."""

from __future__ import annotations

from tests.bench import requests
from tests.bench.compare import Row, interleave
from tests.bench.sample import Http
from tests.bench.sites import Bench
from tests.bench.subjects import PLAIN, plain

PATH = "/api/usage/current"
ORM = "DRF and ORM over hours"
CURRENT = "current usage"
HEAVY = "current usage, the busiest organization"
DJANGO = "current usage, Django answering"


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    product = bench.grown
    many, one = ([requests.request("GET", PATH, headers=head) for head in product.heads(keys)] for keys in (product.many(), product.one()))
    peers = [requests.request("GET", "/current", headers={"X-Organization": str(number)}) for number in range(20)]
    for connections in bench.options.connections:
        subjects = [
            plain(bench, connections),
            Http(ORM, bench.world, bench.peers.waiting, lambda: requests.cycle(peers), connections, expect=b'"sessions"'),
            Http(CURRENT, bench.world, product.gate, lambda: requests.cycle(many), connections, expect=b'"sessions"'),
            Http(HEAVY, bench.world, product.gate, lambda: requests.cycle(one), connections, expect=b'"sessions"'),
            Http(DJANGO, bench.world, product.web, lambda: requests.cycle(many), connections, expect=b'"sessions"'),
        ]
        results = interleave(f"reading, {connections} connections", subjects, bench.options)
        checked = connections > 1
        rows += [
            results.ratio(CURRENT, PLAIN, target=0.45 if checked else None, stretch=0.6),
            results.ratio(CURRENT, ORM, target=3 if checked else None),
            results.ratio(HEAVY, PLAIN, target=0.45 if checked else None, stretch=0.6),
            results.ratio(DJANGO, PLAIN),
        ]
    return rows
