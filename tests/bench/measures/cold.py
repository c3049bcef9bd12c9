"""What 100 guessed keys a second do to those whose keys are known. Those of a forgotten secret cost a third of a second each."""

from __future__ import annotations

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
REFUSALS = frozenset({b"401", b"429", b"503"})


def measure(bench: Bench) -> list[Row]:
    # Unhurried, so that the guesses' own share of the machine is not what is measured.
    pace = 0.3 * interleave("guessed keys, capacity", [warm(bench, None)], bench.options).median(WARM, "rate")
    subjects = [warm(bench, pace), *(disturbed(bench, kind, pace) for kind in GUESSED)]
    results = interleave("guessed keys", subjects, bench.options)
    rows = []
    for told in GUESSED.values():
        rows.append(results.ratio(told, WARM, of="p99_ms", target=1.5, stretch=1.0, at_most=True, told=f"p99: {told}"))
        rows.append(results.ratio(told, WARM, of="p50_ms", at_most=True, told=f"p50: {told}"))
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


def disturbed(bench: Bench, kind: str, pace: float) -> Http:
    product, subject = bench.empty, warm(bench, pace, GUESSED[kind])
    subject.beside = lambda: Stream(product.gate.port, product.guesses[kind], 32, GUESSES, REFUSALS)
    return subject
