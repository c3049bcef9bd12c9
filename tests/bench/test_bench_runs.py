"""Every measure of the benchmark runs. Its values mean nothing here."""

import json
import os
import subprocess
import sys

import pytest

from contextmcp.devstack.services import REPOSITORY, default_home
from tests.bench.compare import Results
from tests.bench.measures import NAMES
from tests.bench.sample import Sample
from tests.bench.table import text


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_every_measure_runs_and_the_table_is_written(tmp_path):
    output = tmp_path / "bench.json"
    # Servers of its own, in a directory that stays, so that they are created once.
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}}
    environment["CONTEXTMCP_HOME"] = str(default_home())
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--output", str(output)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    written = json.loads(output.read_text())
    headings = {row["measure"].partition(",")[0].partition(" of ")[0] for row in written["rows"]}
    assert len(headings) >= len(NAMES)
    assert all(row["value"] > 0 for row in written["rows"])
    assert f"{len([row for row in written['rows'] if row['target']])} targets met" in done.stdout


def sample(rate: float) -> Sample:
    return Sample(rate=rate, p50_ms=1.0, p99_ms=2.0, cpu_us=3.0, behind_us=1.0, client_us=4.0, foreign=0.0)


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    results = Results("gate", {"ours": [sample(10), sample(40), sample(30)], "theirs": [sample(10), sample(10), sample(30)]})
    row = results.ratio("ours", "theirs", target=1.2)
    assert (row.value, row.spread, row.met) == (1.0, (1.0, 4.0), False)


def test_the_table_shows_missed_targets():
    results = Results("gate", {"ours": [sample(10)], "theirs": [sample(10)]})
    result = text([results.ratio("ours", "theirs", target=1.2), results.figure("ours", "p99_ms", "ms", target=10)])
    assert "MISSED" in result
    assert "1 of 2 targets met." in result
