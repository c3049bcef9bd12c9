"""What the command line chose, and what every run is given."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """`scale` multiplies how much is done: 1 is what was promised, less is for trying a run out, and then nothing is proved."""

    seed: int = 1
    scale: float = 1.0
    logs: Path = field(default_factory=Path)
    organizations: int = 0  # of the run `year`; 0 is as many as were promised, by `scale`
    size: int = 0  # events of the run `durable`; the same

    def many(self, number: int, least: int = 1) -> int:
        return max(least, round(number * self.scale))


def say(text: str) -> None:
    """Progress, for whoever waits. The figures alone go to standard output."""
    print(text, file=sys.stderr, flush=True)
