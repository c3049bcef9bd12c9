"""One of the processes that share a run, with its own database and simulator: `python -m tests.soak.worker_process RUN PLACE OF OPTIONS`.

The run's module has a function `part(options, place, of)`, whose result must be JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contextmcp.devstack import processes
from contextmcp.devstack.supervisor import Stopped, stop_on_signals
from tests.soak import prepare, runs
from tests.soak.options import Options

# The servers belong to the parent process, and the databases and keys in them to this one, as with a test worker.
PLACE = "PYTEST_XDIST_WORKER"


def out(run: str, options: Options) -> list[Any]:
    """Run the parts of a run in one process per core and return their results. A part that fails is an error."""
    options.logs.mkdir(parents=True, exist_ok=True)
    of = os.cpu_count() or 1
    results = [options.logs / f"{run}-{place}.json" for place in range(of)]
    for result in results:
        result.unlink(missing_ok=True)
    started = [_start(run, place, of, options) for place in range(of)]
    try:
        codes = [process.wait() for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
        for process in started:
            process.wait()
    if any(codes):
        raise RuntimeError(f"of the processes that shared {run}, some failed: their exit codes are {codes}")
    return [json.loads(result.read_text()) for result in results]


def _start(run: str, place: int, of: int, options: Options) -> subprocess.Popen[bytes]:
    words = [run, str(place), str(of), json.dumps(asdict(options), default=str)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.soak.worker_process", *words],
        env={**os.environ, PLACE: f"part{place}"},
        preexec_fn=processes.die_with_parent,  # noqa: PLW1509  (one thread starts them)
    )


def main(words: list[str]) -> int:
    run, place, of, encoded = words
    values = json.loads(encoded)
    options = Options(**{**values, "logs": Path(values["logs"])})
    stop_on_signals()
    try:
        prepare.begin()
        result = runs.load(run, "part")(options, int(place), int(of))
    except Stopped as stopped:
        return stopped.code
    (options.logs / f"{run}-{place}.json").write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
