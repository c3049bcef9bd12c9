"""One event per request: deduplicated, in the summaries, and durable before the response."""

from __future__ import annotations

from tests.bench import requests
from tests.bench.compare import Row, interleave
from tests.bench.sample import Http
from tests.bench.sites import Bench
from tests.bench.subjects import GET_OR_CREATE, PLAIN, get_or_create, plain

PATH = "/api/usage/events"
EVENT = "one event"


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    product = bench.empty
    heads = product.service_heads(product.many())
    for connections in bench.options.connections:
        event = Http(
            EVENT, bench.world, product.gate, lambda: requests.posts(PATH, heads, requests.event), connections, expect=b'"accepted":1'
        )
        subjects = [plain(bench, connections), get_or_create(bench, connections), event]
        results = interleave(f"single events, {connections} connections", subjects, bench.options)
        checked = connections > 1
        rows += [
            results.ratio(EVENT, PLAIN, target=1 if checked else None, stretch=1.3),
            results.ratio(EVENT, GET_OR_CREATE, target=12 if checked else None),
        ]
    return rows
