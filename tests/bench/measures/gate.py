"""The gate: `POST /api/usage/authorize` of an exact, durable quota, one organization and many, with and without Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.bench import requests
from tests.bench.compare import Results, Row, interleave
from tests.bench.sample import Http
from tests.bench.sites import Bench
from tests.bench.subjects import PLAIN, RSGI, USUAL, bare_rsgi, plain, usual

PATH = "/api/usage/authorize"
BODY = b'{"feature":"sessions"}'
MANY = "authorize, many organizations"
ONE = "authorize, one organization"
KEYED = "authorize, Idempotency-Key"
BOTH = "authorize, quota and rate"
DJANGO = "authorize, Django answering"
CALM = "authorize at 70 % of capacity"


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for connections in bench.options.connections:
        subjects = [plain(bench, connections), bare_rsgi(bench, connections), usual(bench, connections), *ours(bench, connections)]
        results = interleave(f"gate, {connections} connections", subjects, bench.options)
        checked = connections > 1
        for result in (MANY, ONE, KEYED, BOTH):
            rows.append(results.ratio(result, PLAIN, target=1.2 if checked and result in (MANY, ONE) else None, stretch=1.7))
        rows += [
            results.ratio(MANY, USUAL, target=25 if checked else None, stretch=45),
            results.ratio(ONE, USUAL, target=25 if checked else None, stretch=45),
            results.ratio(MANY, RSGI, stretch=0.25),
            results.ratio(DJANGO, PLAIN),
        ]
        if connections == max(bench.options.connections):
            rows.append(calm(bench, results, connections))
    return rows


def ours(bench: Bench, connections: int) -> list[Http]:
    product = bench.empty
    many, one = product.many(), product.one()
    both = b'{"items":[{"feature":"sessions"},{"feature":"context_queries"}]}'
    makers: dict[str, Callable[[], Iterator[bytes]]] = {
        MANY: lambda: product.posting(PATH, BODY, many),
        ONE: lambda: product.posting(PATH, BODY, one),
        KEYED: lambda: requests.keyed(PATH, product.heads(many), BODY),
        BOTH: lambda: product.posting(PATH, both, many),
    }
    matches = [Http(result, bench.world, product.gate, make, connections) for result, make in makers.items()]
    return [*matches, Http(DJANGO, bench.world, product.web, makers[MANY], connections)]


def calm(bench: Bench, reached: Results, connections: int) -> Row:
    """Send requests when due, not after the last response, so that queueing counts."""
    product, pace = bench.empty, 0.7 * reached.median(MANY, "rate")
    subject = Http(CALM, bench.world, product.gate, lambda: product.posting(PATH, BODY, product.many()), connections, rate=pace)
    return interleave("gate, paced", [subject], bench.options).figure(CALM, "p99_ms", "ms", target=10, stretch=5)
