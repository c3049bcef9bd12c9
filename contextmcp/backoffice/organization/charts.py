"""Usage charts, rendered as SVG on the server: a column per day, and bars that compare amounts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from usage.history_query import floor

from .details import OrganizationDetails

DAYS = 30
# Units of the coordinate system of the SVGs.
HEIGHT = 60
COLUMN_STEP, COLUMN_WIDTH = 14, 10
BAR_LENGTH = 100


@dataclass(frozen=True)
class Column:
    day: datetime
    amount: int
    x: int
    y: int
    height: int


@dataclass(frozen=True)
class DayChart:
    """The usage of a feature on each of the last 30 days."""

    title: str
    columns: tuple[Column, ...]
    total: int
    highest: int
    width: int = COLUMN_STEP * DAYS
    height: int = HEIGHT
    column_width: int = COLUMN_WIDTH


@dataclass(frozen=True)
class Bar:
    """The usage of one key or member, in units. `length` is proportional: the highest amount of the same feature has `BAR_LENGTH`."""

    feature: str
    label: str
    link: str
    amount: int
    length: int


def first_day(details: OrganizationDetails) -> datetime:
    """Return the start of the first day of the charts. Usage is dated in the organization's time."""
    return floor(now(details.organization), "day") - timedelta(days=DAYS - 1)


def day_charts(first: datetime, totals: Mapping[str, Mapping[datetime, int]]) -> list[DayChart]:
    """Return a chart for each feature in `totals`."""
    return [_day_chart(feature, first, by_day) for feature, by_day in totals.items()]


def _day_chart(feature: str, first: datetime, by_day: Mapping[datetime, int]) -> DayChart:
    days = [first + timedelta(days=number) for number in range(DAYS)]
    # A day can be negative after a correction. It has no column, but counts in the total.
    amounts = [by_day.get(day, 0) for day in days]
    highest = max(0, *amounts)
    columns = tuple(_column(number, day, amount, highest) for number, (day, amount) in enumerate(zip(days, amounts, strict=True)))
    return DayChart(CATALOG.feature_title(feature), columns, sum(amounts), highest)


def _column(number: int, day: datetime, amount: int, highest: int) -> Column:
    # A minimum height keeps days with little use visible.
    height = max(2, round(HEIGHT * amount / highest)) if amount > 0 else 0
    return Column(day, amount, number * COLUMN_STEP + 2, HEIGHT - height, height)


def bars(rows: Iterable[tuple[str, str, str, int]]) -> Sequence[Bar]:
    """Return the bars of (feature, label, link, units), grouped by feature with the most used first."""
    by_feature: dict[str, list[tuple[str, str, int]]] = {}
    for feature, label, link, units in rows:
        by_feature.setdefault(feature, []).append((label, link, units))
    result: list[Bar] = []
    for feature, entries in by_feature.items():
        highest = max(1, *(units for *_, units in entries))
        result += [
            Bar(CATALOG.feature_title(feature), label, link, units, max(0, round(BAR_LENGTH * units / highest)))
            for label, link, units in entries
        ]
    return result
