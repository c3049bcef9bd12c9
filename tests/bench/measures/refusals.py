"""Refused calls of the gate: an exceeded quota with and without the record of refusals, in one organization and in many."""

from __future__ import annotations

import sys

from tests.bench.compare import Row, interleave
from tests.bench.measures.gate import PATH
from tests.bench.sample import Http
from tests.bench.servers import Server
from tests.bench.sites import Bench

# More than any organization of the benchmark has left, so every call is refused and nothing is counted.
BODY = b'{"items":[{"feature":"sessions","amount":1000000000},{"feature":"sessions","amount":1000000000}]}'
MODULE = "tests.bench.baselines.gate_unrecorded"
MANY, MANY_WITHOUT = "refused, many organizations", "the same without the record"
ONE, ONE_WITHOUT = "refused, one organization", "one organization without the record"
# Recording refusals may cost 2 % of the throughput.
MIN_SHARE = 0.98


def measure(bench: Bench) -> list[Row]:
    product, connections = bench.empty, max(bench.options.connections)
    command = [sys.executable, "-m", MODULE, "--workers", str(bench.options.gate_workers)]
    without = product.warm(bench.world.serve("gate-unrecorded", command, product.environment), passes=5)

    def subject(name: str, server: Server, keys: list[str]) -> Http:
        return Http(name, bench.world, server, lambda: product.posting(PATH, BODY, keys), connections, statuses=frozenset({b"429"}))

    subjects = [
        subject(MANY, product.gate, product.many()),
        subject(MANY_WITHOUT, without, product.many()),
        subject(ONE, product.gate, product.one()),
        subject(ONE_WITHOUT, without, product.one()),
    ]
    results = interleave(f"refused calls, {connections} connections", subjects, bench.options)
    rows = []
    for name, other in ((MANY, MANY_WITHOUT), (ONE, ONE_WITHOUT)):
        rows.append(results.ratio(name, other, target=MIN_SHARE))
        rows.append(results.ratio(name, other, of="cpu_us", label=f"{name}: CPU with and without the record"))
    return rows
