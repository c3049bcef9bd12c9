"""The rules for alerts. Pure functions.

A threshold alert is sent when 50, 80 or 100 % of a monthly quota is used, or of a gauge's limit is in use. Gauges with a limit below
`MIN_GAUGE_LIMIT` are excluded, because a limit of one project, for example, is reached with the first project. If usage passes several
thresholds at once, only the highest is reported.

A spike is a clock hour (UTC) in which more units of a meter are used than `SPIKE_FACTOR` times the mean of the active hours of the last 14
days, more units than in any of these hours, and at least `SPIKE_MIN_UNITS`. Hours without usage are excluded from the mean; otherwise every
morning would be a spike. Because of the comparison with the maximum, a regular nightly peak is not a spike. With fewer than `SPIKE_HOURS`
active hours there is no baseline.
"""

from dataclasses import dataclass
from datetime import timedelta

THRESHOLDS = (100, 80, 50)
MIN_GAUGE_LIMIT = 5
SPIKE_FACTOR = 4
SPIKE_MIN_UNITS = 20
SPIKE_HOURS = 24
SPIKE_BASELINE_DAYS = timedelta(days=14)


def threshold(used: int, limit: int | None) -> int | None:
    """Return the highest threshold reached, in percent, or None. An unlimited or zero limit has no thresholds."""
    if not limit or used <= 0:
        return None
    return next((each for each in THRESHOLDS if used * 100 >= each * limit), None)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The active hours of the last 14 days: their number, their total units and the highest hour's units."""

    hours: int
    total: int
    max: int

    @property
    def mean(self) -> float | None:
        """Return the mean units per active hour, or None if there are fewer than `SPIKE_HOURS`."""
        return self.total / self.hours if self.hours >= SPIKE_HOURS else None

    @property
    def spike_threshold(self) -> float | None:
        """Return the units that an hour must exceed to be a spike, or None without a baseline."""
        return None if self.mean is None else max(SPIKE_FACTOR * self.mean, float(self.max), SPIKE_MIN_UNITS - 1.0)
