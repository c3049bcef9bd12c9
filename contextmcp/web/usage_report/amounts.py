"""The totals of a report's period and of the period before, read from the summaries."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from accounts.models import Organization
from usage import selectors
from usage.history_query import Grouping, HistoryQuery
from usage.selectors import Series

from .periods import Bucket, ReportPeriod
from .selection import Group

_GROUPINGS: dict[Group, Grouping] = {"total": "meter", "key": "key", "member": "member", "tool": "tool"}


@dataclass
class Amounts:
    """The units of one series in each bucket, and in the buckets that they are compared with. `events` are its events in the period."""

    now: list[int]
    before: list[int]
    events: int = 0

    def add(self, other: "Amounts") -> None:
        """Add the amounts of another series."""
        self.now = [mine + added for mine, added in zip(self.now, other.now, strict=True)]
        self.before = [mine + added for mine, added in zip(self.before, other.before, strict=True)]
        self.events += other.events


@dataclass
class FeatureAmounts:
    """The amounts of one feature by key, member or tool (None: the usage without one). Ungrouped usage has the only series None."""

    series: dict[Hashable, Amounts] = field(default_factory=dict)


def read_amounts(organization: Organization, period: ReportPeriod, buckets: list[Bucket], group: Group) -> dict[str, FeatureAmounts]:
    """Return the amounts of every feature that was used in the period or before, with two queries."""
    starts = [bucket.start for bucket in buckets]
    places = {int(start.timestamp()): number for number, start in enumerate(starts)}
    features: dict[str, FeatureAmounts] = {}

    def amounts_of(series: Series) -> Amounts:
        of_feature = features.setdefault(series.feature, FeatureAmounts()).series
        return of_feature.setdefault(series.member, Amounts([0] * len(starts), [0] * len(starts)))

    for series in _read(organization, period, group, period.since, period.read_until):
        amounts = amounts_of(series)
        amounts.events += series.events
        for at, units in series.amounts.items():
            amounts.now[places[at]] += units
    before_places: dict[int, int] = {}
    for series in _read(organization, period, group, period.before_since, period.before_until):
        before = amounts_of(series).before
        for at, units in series.amounts.items():
            if at not in before_places:
                before_places[at] = period.bucket_before(starts, datetime.fromtimestamp(at, UTC))
            before[before_places[at]] += units
    return features


def read_rest_of_before(organization: Organization, period: ReportPeriod, ends: datetime, feature: str) -> list[tuple[datetime, int]]:
    """Return (day, units) of the part of the period before that has not been compared yet, until it ended at `ends`."""
    if period.before_until >= ends:
        return []
    query = HistoryQuery("day", "meter", period.before_until, ends, feature)
    return [(total.start, total.amount) for total in selectors.history(organization, query)]


def _read(organization: Organization, period: ReportPeriod, group: Group, since: datetime, until: datetime) -> list[Series]:
    if since >= until:
        return []
    return selectors.series(organization, HistoryQuery(period.interval, _GROUPINGS[group], since, until))
