"""Batches of events: against bare Postgres and against DRF with bulk_create, on empty and on grown tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.bench import requests
from tests.bench.compare import Row, interleave
from tests.bench.measures.single import PATH
from tests.bench.sample import WARM_UP_SECONDS, Http, RawPostgres, Subject
from tests.bench.sites import Bench, Product

RAW = "raw binary unnest, one connection"
BULK = "DRF and bulk_create"
CONNECTIONS = 4
# Generated in advance, for a second each. A faster server waits for the generation.
READY = 100_000


def measure(bench: Bench) -> list[Row]:
    options = bench.options
    rows: list[Row] = []
    raw = RawPostgres(RAW, bench.world, bench.peers.url)
    for size in options.sizes[1:]:
        subjects: list[Subject] = [raw, bulk(bench, size)]
        result = {}
        for name, product in (("empty", bench.empty), ("grown", bench.grown)):
            for order, identify in (("random", requests.random_id), ("timed", requests.timed_id)):
                result[name, order] = f"batches, {order} keys, {name}"
                subjects.append(batches(bench, product, result[name, order], size, identify))
        results = interleave(f"batches of {size}", subjects, options)
        checked = size == max(options.sizes)
        rows += [
            results.ratio(result["empty", "random"], RAW, target=0.9 if checked else None),
            results.ratio(result["empty", "timed"], RAW, target=0.9 if checked else None),
            results.ratio(result["empty", "random"], BULK, target=8 if checked else None),
            results.ratio(result["grown", "random"], result["empty", "random"], target=0.8 if checked else None),
            results.ratio(result["grown", "timed"], result["empty", "timed"], target=0.8 if checked else None),
            results.ratio(result["grown", "timed"], BULK),
        ]
    return rows


def batches(bench: Bench, product: Product, result: str, size: int, identify: Callable[[], str]) -> Http:
    heads = product.service_heads(product.many())
    ready = _ready(bench, READY, size)
    make = partial(requests.batches, PATH, heads, size, identify, ready)
    expect = b'"accepted":%d,' % size
    return Http(result, bench.world, product.gate, make, CONNECTIONS, unit=size, expect=expect)


def bulk(bench: Bench, size: int) -> Http:
    ready = _ready(bench, 20_000, size)
    make = partial(requests.batches, "/events", bench.peers.heads(), size, requests.random_id, ready)
    return Http(BULK, bench.world, bench.peers.waiting, make, CONNECTIONS, unit=size, expect=b'"accepted":%d}' % size)


def _ready(bench: Bench, per_second: int, size: int) -> int:
    """Return the number of batches for a sample, the requests before it, and a fifth of its time more."""
    seconds = bench.options.seconds
    return max(2, int(per_second * (1.2 * seconds + min(WARM_UP_SECONDS, seconds)) / size))
