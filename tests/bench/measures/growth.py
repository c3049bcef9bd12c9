"""The cost of a call and of an event on grown tables, compared with empty ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.bench import requests
from tests.bench.compare import Row, interleave
from tests.bench.measures import checking, gate, reading, single
from tests.bench.sample import Http
from tests.bench.sites import Bench, Product

CONNECTIONS = 16


def measure(bench: Bench) -> list[Row]:
    subjects: list[Http] = []
    for product in (bench.empty, bench.grown):
        for what, make in makers(product).items():
            subjects.append(Http(f"{what}, {product.name}", bench.world, product.gate, make, CONNECTIONS))
    results = interleave("growth", subjects, bench.options)
    rows = []
    for what in makers(bench.empty):
        empty, grown = f"{what}, empty", f"{what}, grown"
        rows.append(results.ratio(empty, grown, target=1.2, at_most=True, label=f"cost: {what}, {bench.options.events:,} events to none"))
        rows.append(results.ratio(grown, empty, of="cpu_us", at_most=True, label=f"CPU: {what}, {bench.options.events:,} events to none"))
    return rows


def makers(product: Product) -> dict[str, Callable[[], Iterator[bytes]]]:
    many = product.many()
    heads = product.heads(many)
    read = [requests.request("GET", reading.PATH, headers=head) for head in heads]
    return {
        "check of a quota": lambda: product.posting(checking.PATH, gate.BODY, many),
        "authorize": lambda: product.posting(gate.PATH, gate.BODY, many),
        "authorize, Idempotency-Key": lambda: requests.keyed(gate.PATH, heads, gate.BODY),
        "one event": lambda: requests.posts(single.PATH, product.service_heads(many), requests.event),
        "current usage": lambda: requests.cycle(read),
    }
