"""Key check: `POST /api/entitlements/check` with a cached key, for a boolean feature and for a quota."""

from __future__ import annotations

from tests.bench.compare import Row, interleave
from tests.bench.sample import Http
from tests.bench.sites import Bench
from tests.bench.subjects import API_KEY, PLAIN, RSGI, api_key, bare_rsgi, plain

PATH = "/api/entitlements/check"


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    product = bench.empty
    for connections in bench.options.connections:
        subjects = [plain(bench, connections), bare_rsgi(bench, connections), api_key(bench, connections)]
        for feature, result in (("team_collaboration", "check"), ("sessions", "check of a quota")):
            body = b'{"feature":"%s"}' % feature.encode()
            ready = product.posting(PATH, body, product.many())
            subjects.append(Http(result, bench.world, product.gate, lambda ready=ready: ready, connections, expect=b'"allowed":true'))  # type: ignore[misc]
        results = interleave(f"key check, {connections} connections", subjects, bench.options)
        checked = connections > 1
        rows += [
            results.ratio("check", PLAIN, target=4 if checked else None),
            results.ratio("check", API_KEY, target=20 if checked else None),
            results.ratio("check", RSGI, stretch=0.6),
            results.ratio("check of a quota", PLAIN),
        ]
    return rows
