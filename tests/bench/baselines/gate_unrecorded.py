"""`python -m tests.bench.baselines.gate_unrecorded`: the gate without its record of refusals."""

from __future__ import annotations

import sys
from functools import partial

from contextmcp.gate import __main__ as gate

MODULE = "tests.bench.baselines.gate_unrecorded"


def work() -> None:
    """Run one worker."""
    from contextmcp.gate import worker  # sets Django up

    app = sys.modules["contextmcp.gate.app"]
    app.record = lambda *_: None  # type: ignore[attr-defined]
    worker.process.run(worker.serve)


if __name__ == "__main__":
    # The supervisor passes file descriptors to a worker, and options are given to the supervisor.
    if sys.argv[1].isdigit():
        work()
    else:
        gate.Supervisor = partial(gate.Supervisor, module=MODULE)  # type: ignore[assignment,misc]
        gate.main()
