"""Receiving a Stripe event: signature, row and job, against a view that trusts its sender and inserts one row."""

from __future__ import annotations

from tests.bench import requests
from tests.bench.compare import Row, interleave
from tests.bench.sample import Http
from tests.bench.sites import WEBHOOK_SECRET, Bench
from tests.bench.subjects import PLAIN, plain

PATH = "/api/billing/webhooks/stripe"
INSERT = "a view that inserts one row"
ANSWER = "webhook answer"
# The target for the slowest responses was set for this concurrency.
SENDERS = 16


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for connections in bench.options.connections:
        subjects = [
            plain(bench, connections),
            Http(INSERT, bench.world, bench.peers.waiting, lambda: requests.webhooks("/hook", WEBHOOK_SECRET), connections),
            Http(ANSWER, bench.world, bench.empty.web, lambda: requests.webhooks(PATH, WEBHOOK_SECRET), connections),
        ]
        results = interleave(f"webhooks, {connections} connections", subjects, bench.options)
        rows += [
            results.ratio(ANSWER, PLAIN, target=0.28 if connections > 1 else None, stretch=0.35),
            results.ratio(ANSWER, INSERT),
            results.ratio(
                ANSWER, INSERT, of="p99_ms", target=3 if connections == SENDERS else None, at_most=True, label=f"p99: {ANSWER} to {INSERT}"
            ),
        ]
    return rows
