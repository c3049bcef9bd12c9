"""Line charts as SVG paths. The page shows the same numbers as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from billing.revenue.selectors import Period

WIDTH, HEIGHT, MARGIN = 640, 160, 4
# Longer ranges have a point for each week.
DAILY_UP_TO = 92
WEEK = 7


@dataclass(frozen=True)
class ChartRow:
    """A point: its day (for a week, the last day), its value and that of the previous period, formatted."""

    day: date
    value: str
    before: str


@dataclass(frozen=True)
class Chart:
    title: str
    path: str
    path_before: str
    rows: list[ChartRow]
    highest: str
    lowest: str
    summary: str
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def first(self) -> date:
        return self.rows[0].day

    @property
    def last(self) -> date:
        return self.rows[-1].day


def draw(title: str, period: Period, values: dict[date, int], word: Callable[[int], str], *, is_sum: bool = False) -> Chart:
    """Return the chart of a value by day, with the previous period.

    A missing day counts as zero. The value of a week is the sum of its days if `is_sum` is True, and otherwise the value of its last day.
    `word` formats a value.
    """
    days, now = _points(period, values, is_sum=is_sum)
    _, before = _points(period.before, values, is_sum=is_sum)
    low, high = min(0, *now, *before), max(0, *now, *before)
    rows = [ChartRow(day, word(value), word(former)) for day, value, former in zip(days, now, before, strict=True)]
    change = "unchanged" if now[-1] == now[0] else f"from {word(now[0])} to {word(now[-1])}"
    total = f"{word(sum(now))} in total, highest {word(max(now))}"
    return Chart(
        title=title,
        path=_path(now, low, high),
        path_before=_path(before, low, high),
        rows=rows,
        highest=word(high),
        lowest=word(low),
        summary=f"{title}: {total if is_sum else change}",
    )


def _points(period: Period, values: dict[date, int], *, is_sum: bool) -> tuple[list[date], list[int]]:
    days = list(period.days())
    size = 1 if period.length <= DAILY_UP_TO else WEEK
    # Whole weeks end with the last day of the period.
    first = (len(days) - 1) % size
    ends = days[first::size]
    if not is_sum:
        return ends, [values.get(day, 0) for day in ends]
    return ends, [
        sum(values.get(end - timedelta(days=number), 0) for number in range(size) if end - timedelta(days=number) >= days[0])
        for end in ends
    ]


def _path(values: Sequence[int], low: int, high: int) -> str:
    span = (high - low) or 1
    step = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)
    points = [
        f"{MARGIN + place * step:.1f} {HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN):.1f}"
        for place, value in enumerate(values)
    ]
    return "M" + " L".join(points if len(points) > 1 else [points[0], f"{WIDTH - MARGIN} {points[0].split()[1]}"])
