"""The gate without durable counting: a rate limit, and a boolean feature."""

from __future__ import annotations

from tests.bench.compare import Row, interleave
from tests.bench.measures.gate import PATH
from tests.bench.sample import Http
from tests.bench.sites import Bench
from tests.bench.subjects import PLAIN, plain

RATE = "authorize, a rate"
FLAG = "authorize, a flag"


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    product, many = bench.empty, bench.empty.many()
    for connections in bench.options.connections:
        rate = Http(RATE, bench.world, product.gate, lambda: product.posting(PATH, b'{"feature":"context_queries"}', many), connections)
        flag = Http(FLAG, bench.world, product.gate, lambda: product.posting(PATH, b'{"feature":"team_collaboration"}', many), connections)
        results = interleave(f"rate only, {connections} connections", [plain(bench, connections), rate, flag], bench.options)
        rows += [results.ratio(RATE, PLAIN, target=1.7 if connections > 1 else None, stretch=2.5), results.ratio(FLAG, PLAIN)]
    return rows
