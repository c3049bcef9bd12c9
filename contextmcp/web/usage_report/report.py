"""The numbers of a report. The chart, the table and the CSV show the same ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate
from typing import Any

from django.utils.translation import gettext as _

from accounts.types import Caller
from contextmcp.common.formatting import format_percent
from entitlements.catalog import CATALOG
from usage.history_query import Interval

from .amounts import Amounts, FeatureAmounts, read_amounts
from .labels import Label, labels, sees_all
from .periods import Bucket, ReportPeriod
from .selection import GROUP_TITLES, HEADINGS, Group, Selection
from .times import row_text

# Columns of the table and the CSV. The chart has a color for each of the first ones, and one for all others.
MAX_SERIES = 50
COLORS = 6


@dataclass(frozen=True)
class Change:
    """An amount compared with the period before. `percent` is None if nothing was used before."""

    total: int
    before: int

    @property
    def difference(self) -> int:
        return self.total - self.before

    @property
    def size(self) -> int:
        return abs(self.difference)

    @property
    def percent(self) -> int | None:
        """Return the size of the change in percent, rounded half up."""
        return None if self.before <= 0 else (200 * self.size + self.before) // (2 * self.before)

    @property
    def percent_text(self) -> str:
        return "" if self.percent is None else format_percent(self.percent)


@dataclass(frozen=True)
class Series:
    """One line of the report. `color` is the number of its color in the chart; all series without an own color share `COLORS`."""

    label: Label
    amounts: tuple[int, ...]
    change: Change
    events: int
    color: int
    share: str


@dataclass(frozen=True)
class Row:
    """One bucket of time, as a row of the table and the CSV. `running` is the total so far, for a usage month."""

    label: str
    start: datetime
    amounts: tuple[int, ...]
    total: int
    running: int
    before: int


@dataclass(frozen=True)
class Report:
    """What was used in a period. `features` are the names of those that can be chosen."""

    selection: Selection
    period: ReportPeriod
    feature: str
    features: tuple[str, ...]
    series: tuple[Series, ...]
    rows: tuple[Row, ...]
    change: Change
    sees_all: bool

    @property
    def title(self) -> str:
        return CATALOG.feature_title(self.feature)

    @property
    def group_title(self) -> str:
        return str(GROUP_TITLES[self.selection.group])

    @property
    def heading(self) -> str:
        """Return what the chart shows, such as "Sessions by API key"."""
        return str(HEADINGS[self.selection.group]) % {"feature": self.title}

    @property
    def first_day(self) -> date:
        return self.period.since.date()

    @property
    def last_day(self) -> date:
        """Return the last day of the whole period, which may be in the future."""
        return (self.period.ends - timedelta(microseconds=1)).date()

    @property
    def is_grouped(self) -> bool:
        return self.selection.group != "total"

    @property
    def is_running_total(self) -> bool:
        """Return whether the chart shows how the usage month adds up, rather than the usage of each day."""
        return self.period.quota and not self.is_grouped

    @property
    def compares_same_point(self) -> bool:
        """Return whether a running usage month is compared with the beginning of the one before."""
        return self.period.quota and self.period.is_running

    @property
    def is_empty(self) -> bool:
        return not any(row.total or row.before or any(row.amounts) for row in self.rows)

    @property
    def newest_first(self) -> Sequence[Row]:
        return self.rows[::-1]


def build_report(caller: Caller, selection: Selection, period: ReportPeriod, offered: Sequence[str]) -> Report:
    """Return the report of a selection. `offered` are the features that can be chosen even if they were not used, the default one first."""
    buckets = period.buckets
    by_feature = read_amounts(caller.organization, period, buckets, selection.group)
    features = tuple(dict.fromkeys([*offered, *sorted(by_feature)]))
    feature = selection.feature if selection.feature in features else next(iter(features), "")
    amounts = by_feature.get(feature, FeatureAmounts())
    named = _named(caller, selection.group, amounts, len(buckets))
    total, before = _sum(named.values(), len(buckets))
    return Report(
        selection=selection,
        period=period,
        feature=feature,
        features=features,
        series=_series(named, sum(total)),
        rows=_rows(buckets, period.interval, list(named.values()), total, before),
        change=Change(sum(total), sum(before)),
        sees_all=sees_all(caller),
    )


def _named(caller: Caller, group: Group, amounts: FeatureAmounts, length: int) -> dict[Label, Amounts]:
    """Return the amounts by label, the most used first. At most `MAX_SERIES`; the last one has the rest."""
    if group == "total":
        return {Label(""): amounts.series.get(None) or Amounts([0] * length, [0] * length)}
    names = labels(caller, group, amounts.series)
    merged: dict[Label, Amounts] = {}
    for member, each in amounts.series.items():
        merged.setdefault(names[member], Amounts([0] * length, [0] * length)).add(each)
    ordered = sorted(merged.items(), key=lambda item: (-sum(item[1].now), -sum(item[1].before), item[0].name, item[0].hint))
    if len(ordered) <= MAX_SERIES:
        return dict(ordered)
    rest = Amounts([0] * length, [0] * length)
    for _label, each in ordered[MAX_SERIES - 1 :]:
        rest.add(each)
    return dict(ordered[: MAX_SERIES - 1]) | {Label(_("All others")): rest}


def _sum(all_amounts: Any, length: int) -> tuple[list[int], list[int]]:
    total = Amounts([0] * length, [0] * length)
    for amounts in all_amounts:
        total.add(amounts)
    return total.now, total.before


def _series(named: dict[Label, Amounts], total: int) -> tuple[Series, ...]:
    return tuple(
        Series(
            label=label,
            amounts=tuple(amounts.now),
            change=Change(sum(amounts.now), sum(amounts.before)),
            events=amounts.events,
            color=min(number, COLORS),
            share=format_percent((200 * sum(amounts.now) + total) // (2 * total) if total > 0 else 0),
        )
        for number, (label, amounts) in enumerate(named.items())
    )


def _rows(buckets: list[Bucket], interval: Interval, series: list[Amounts], total: list[int], before: list[int]) -> tuple[Row, ...]:
    rows = []
    for number, (bucket, running) in enumerate(zip(buckets, accumulate(total), strict=True)):
        amounts = tuple(each.now[number] for each in series)
        rows.append(Row(row_text(bucket.label, interval), bucket.start, amounts, total[number], running, before[number]))
    return tuple(rows)
