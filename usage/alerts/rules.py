"""When something is worth a warning. Pure.

A threshold: 50, 80 or 100 % of a monthly quota used, or of a level in use. Levels of fewer than `LEAST_LEVEL` are no news when they
fill: a plan with one project is full with the first. What jumps over several is told of the highest alone.

A spike: within one clock hour (UTC) more of a meter than `SPIKE_TIMES` the mean of the hours of the last 14 days in which it was used at
all, more than in any single one of them, and at least `SPIKE_LEAST`. Hours without use do not count: with them, every morning would be
one; and what happens every night is usual, however high. With fewer than `SPIKE_HOURS` such hours there is no past to compare with.
"""

from dataclasses import dataclass
from datetime import timedelta

THRESHOLDS = (100, 80, 50)
LEAST_LEVEL = 5
SPIKE_TIMES = 4
SPIKE_LEAST = 20
SPIKE_HOURS = 24
SPIKE_PAST = timedelta(days=14)


def threshold(used: int, limit: int | None) -> int | None:
    """The highest that is reached, in per cent. Nothing is reached of what is unlimited, or not included at all."""
    if not limit or used <= 0:
        return None
    return next((each for each in THRESHOLDS if used * 100 >= each * limit), None)


@dataclass(frozen=True, slots=True)
class Past:
    """The hours with use among those of the last 14 days: how many, how much in all, how much in the highest."""

    hours: int
    total: int
    most: int

    @property
    def usual(self) -> float | None:
        """Their mean; None where they are too few to say."""
        return self.total / self.hours if self.hours >= SPIKE_HOURS else None

    @property
    def spike_above(self) -> float | None:
        return None if self.usual is None else max(SPIKE_TIMES * self.usual, float(self.most), SPIKE_LEAST - 1.0)
