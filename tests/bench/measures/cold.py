"""The effect of 100 guessed keys per second on clients with cached keys. Guesses under a removed secret cost 0.3 s each."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import requests
from tests.bench.compare import Row, interleave
from tests.bench.load import Stream
from tests.bench.measures.checking import PATH
from tests.bench.sample import Http
from tests.bench.sites import Bench

WARM = "check"
GUESSED = {
    "unknown": "check, 100 guessed keys a second",
    "stale": "check, 100 guesses a second that bcrypt must refuse",
}
GUESSES = 100.0
BODY = b'{"feature":"team_collaboration"}'
CONNECTIONS = 16
COLD = "a key's first check"
COLD_GUESSED = {kind: label.replace("check", COLD, 1) for kind, label in GUESSED.items()}
COLD_RATE = 20.0
REFUSALS = frozenset({b"401", b"429", b"503"})


def measure(bench: Bench) -> list[Row]:
    # A fixed rate, so that the guesses' own share of the CPU is not what is measured.
    pace = 0.3 * interleave("guessed keys, capacity", [warm(bench, None)], bench.options).median(WARM, "rate")
    subjects = [warm(bench, pace), *(beside(bench, kind, warm(bench, pace, label)) for kind, label in GUESSED.items())]
    results = interleave("guessed keys", subjects, bench.options)
    first = [cold(bench, COLD), *(beside(bench, kind, cold(bench, label)) for kind, label in COLD_GUESSED.items())]
    rates = interleave("new keys", first, bench.options)
    rows = [rates.ratio(label, COLD, of="p99_ms", at_most=True, label=f"p99: {label}") for label in COLD_GUESSED.values()]
    for label in GUESSED.values():
        rows.append(results.ratio(label, WARM, of="p99_ms", target=1.5, stretch=1.0, at_most=True, label=f"p99: {label}"))
        rows.append(results.ratio(label, WARM, of="p50_ms", at_most=True, label=f"p50: {label}"))
    return rows


def warm(bench: Bench, pace: float | None, name: str = WARM) -> Http:
    product = bench.empty
    return Http(
        name,
        bench.world,
        product.gate,
        lambda: product.posting(PATH, BODY, product.many()),
        CONNECTIONS,
        rate=pace,
        expect=b'"allowed":true',
    )


def cold(bench: Bench, name: str) -> Http:
    """Send valid keys that the gate has not cached, 20 times a second."""
    product = bench.empty

    def firsts() -> Iterator[bytes]:
        for key in product.unmet:
            yield requests.request("POST", PATH, BODY, requests.bearer(key))

    return Http(name, bench.world, product.gate, firsts, CONNECTIONS, rate=COLD_RATE, expect=b'"allowed":true')


def beside(bench: Bench, kind: str, subject: Http) -> Http:
    """Do the same while guesses arrive."""
    product = bench.empty
    subject.beside = lambda: Stream(product.gate.port, product.guesses[kind], 32, GUESSES, REFUSALS, awaited=False)
    return subject
