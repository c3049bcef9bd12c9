"""The command line options that each run receives."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """`scale` multiplies the amount of work. The bounds are only proven at 1. Use less to try a run."""

    seed: int = 1
    scale: float = 1.0
    logs: Path = field(default_factory=Path)
    organizations: int = 0  # number of organizations of the run `year`; 0 means the full number, times `scale`
    size: int = 0  # number of events of the run `durable`, likewise

    def many(self, number: int, minimum: int = 1) -> int:
        return max(minimum, round(number * self.scale))


def say(text: str) -> None:
    """Print progress to standard error. Standard output contains the metrics only."""
    print(text, file=sys.stderr, flush=True)
