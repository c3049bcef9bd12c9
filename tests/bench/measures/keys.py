"""Ten keys, and all keys: with one worker, each key is cached after one pass."""

from __future__ import annotations

from tests.bench import requests
from tests.bench.compare import Row, interleave
from tests.bench.load import present
from tests.bench.measures import checking, gate
from tests.bench.sample import Http
from tests.bench.sites import Bench

FEW = 10


def measure(bench: Bench) -> list[Row]:
    product = bench.empty
    server = product.lone_gate()
    try:
        present(
            server.port,
            [requests.request("POST", checking.PATH, b'{"feature":"team_collaboration"}', head) for head in product.heads(product.keys)],
        )
        subjects = []
        for what, path, body in (
            ("check", checking.PATH, b'{"feature":"team_collaboration"}'),
            ("authorize", gate.PATH, gate.BODY),
        ):
            for result, keys in ((f"{what}, 10 keys", product.keys[:FEW]), (f"{what}, {len(product.keys):,} keys", product.keys)):
                ready = [requests.request("POST", path, body, head) for head in product.heads(keys)]
                subjects.append(Http(result, bench.world, server, lambda ready=ready: requests.cycle(ready), 16))  # type: ignore[misc]
        results = interleave("number of keys", subjects, bench.options)
        rows = []
        for few, many in (subjects[:2], subjects[2:]):
            rows.append(results.ratio(few.name, many.name, target=1.2, at_most=True, label=f"cost: {many.name} to {FEW}"))
            rows.append(results.ratio(many.name, few.name, of="cpu_us", at_most=True, label=f"CPU: {many.name} to {FEW}"))
        return rows
    finally:
        bench.world.stop(server)
