"""The limits of the machine: bare servers, Django, DRF, and key checks with packages from PyPI."""

from __future__ import annotations

from tests.bench.compare import Row, interleave
from tests.bench.sites import Bench
from tests.bench.subjects import PLAIN, api_key, bare_asgi, bare_rsgi, bare_wsgi, framework, plain, usual


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for connections in bench.options.connections:
        subjects = [make(bench, connections) for make in (plain, bare_wsgi, bare_asgi, bare_rsgi, framework, api_key, usual)]
        results = interleave(f"machine, {connections} connections", subjects, bench.options)
        rows += [results.ratio(subject.name, PLAIN) for subject in subjects[1:]]
    return rows
