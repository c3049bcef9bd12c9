"""Refused calls of the gate: an exceeded quota with and without the record of refusals, in one organization and in many.

The target is set on the CPU of the record alone, as a share of a refused call's CPU: the gate is limited by its CPU, and two samples of its
throughput differ by up to a fifth even if nothing changed, so a difference of 2 % cannot be seen in them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from tests.bench.compare import Row, interleave
from tests.bench.measures.gate import PATH
from tests.bench.sample import Http, Meter, Sample, Subject
from tests.bench.servers import Server
from tests.bench.sites import Bench, Product

# More than any organization of the benchmark has left, so every call is refused and nothing is counted.
BODY = b'{"items":[{"feature":"sessions","amount":1000000000},{"feature":"sessions","amount":1000000000}]}'
MODULE = "tests.bench.baselines.gate_unrecorded"
MANY, MANY_WITHOUT = "refused, many organizations", "the same without the record"
ONE, ONE_WITHOUT = "refused, one organization", "one organization without the record"
MANY_RECORD, ONE_RECORD = "the record alone, many organizations", "the record alone, one organization"
# Recording refusals may cost 2 % of the throughput.
MAX_SHARE = 0.02


@dataclass
class Record:
    """The record of refusals without the gate, in a process of its own."""

    name: str
    product: Product
    organizations: int

    def sample(self, seconds: float) -> Sample:
        command = [sys.executable, "-m", "tests.bench.baselines.refusal_record", str(self.organizations), str(seconds)]
        environment = {**self.product.world.environment, **self.product.environment}
        with Meter(backends=self.product.world.backends()) as meter:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        result = json.loads(done.stdout)
        recorded, behind = result["recorded"], meter.behind / result["recorded"] * 1e6
        cpu = result["cpu_seconds"] / recorded * 1e6
        return Sample(recorded / seconds, 0.0, 0.0, cpu + behind, behind, 0.0, 0.0)


def measure(bench: Bench) -> list[Row]:
    product, connections = bench.empty, max(bench.options.connections)
    command = [sys.executable, "-m", MODULE, "--workers", str(bench.options.gate_workers)]
    without = product.warm(bench.world.serve("gate-unrecorded", command, product.environment), passes=5)

    def subject(name: str, server: Server, keys: list[str]) -> Http:
        return Http(name, bench.world, server, lambda: product.posting(PATH, BODY, keys), connections, statuses=frozenset({b"429"}))

    subjects: list[Subject] = [
        subject(MANY, product.gate, product.many()),
        subject(MANY_WITHOUT, without, product.many()),
        subject(ONE, product.gate, product.one()),
        subject(ONE_WITHOUT, without, product.one()),
        Record(MANY_RECORD, product, len(product.many())),
        Record(ONE_RECORD, product, 1),
    ]
    results = interleave(f"refused calls, {connections} connections", subjects, bench.options)
    rows = []
    for name, other, record in ((MANY, MANY_WITHOUT, MANY_RECORD), (ONE, ONE_WITHOUT, ONE_RECORD)):
        rows.append(
            results.ratio(record, name, of="cpu_us", target=MAX_SHARE, at_most=True, label=f"{record}: share of a refused call's CPU")
        )
        rows.append(results.ratio(name, other))
        rows.append(results.ratio(name, other, of="cpu_us", label=f"{name}: CPU with and without the record"))
    return rows
