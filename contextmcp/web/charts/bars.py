"""A bar chart: one bar for each slot of time, stacked of the values of its series, in front of a wider bar of the previous period."""

from collections.abc import Sequence
from dataclasses import dataclass

from .scale import Scale, Tick, labels, nice_scale, place

# In percent of a slot.
BAR_WIDTH, BEFORE_WIDTH = 56, 84
# Values are written above the bars of at most this many slots. Those of more slots would touch each other on a phone.
MAX_WRITTEN = 8


@dataclass(frozen=True)
class Slot:
    """The values of a day or an hour, one for each series, and the total of the previous period's slot (None: no comparison).

    `label` is its text at the axis, and `title` that which is shown for the pointer.
    """

    label: str
    title: str
    values: tuple[int, ...]
    before: int | None = None

    @property
    def total(self) -> int:
        return sum(self.values)


@dataclass(frozen=True)
class Bar:
    """A rectangle. `series` is the number of its series, which determines its color."""

    series: int
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class Column:
    """What is drawn in a slot. `area` is the whole slot, for the pointer."""

    slot: Slot
    before: Bar | None
    bars: tuple[Bar, ...]
    area: Bar
    label_x: str
    label_y: str


@dataclass(frozen=True)
class BarChart:
    scale: Scale
    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]
    values_written: bool


def bar_chart(slots: Sequence[Slot]) -> BarChart:
    """Return the chart of slots in the order of time. Negative values, as after a correction, have no bar."""
    highest = max((max(_stacked(slot), slot.before or 0) for slot in slots), default=0)
    scale = nice_scale(highest)
    columns = tuple(_column(scale, number, slot, 100 / len(slots)) for number, slot in enumerate(slots))
    return BarChart(scale, columns, labels([slot.label for slot in slots]), len(slots) <= MAX_WRITTEN)


def _stacked(slot: Slot) -> int:
    return sum(value for value in slot.values if value > 0)


def _column(scale: Scale, number: int, slot: Slot, width: float) -> Column:
    left, bars, below = number * width, [], 0
    for series, value in enumerate(slot.values):
        if value > 0:
            bars.append(_bar(scale, series, left, width, BAR_WIDTH, below, below + value))
            below += value
    return Column(
        slot=slot,
        before=_bar(scale, -1, left, width, BEFORE_WIDTH, 0, slot.before) if slot.before and slot.before > 0 else None,
        bars=tuple(bars),
        area=_bar(scale, -1, left, width, 100, 0, scale.top),
        label_x=place(left + width / 2),
        label_y=place(100 - scale.height(max(below, slot.before or 0))),
    )


def _bar(scale: Scale, series: int, left: float, width: float, share: int, bottom: int, top: int) -> Bar:  # noqa: PLR0917 - a rectangle
    wide = width * share / 100
    height = scale.height(top) - scale.height(bottom)
    return Bar(series, place(left + (width - wide) / 2), place(100 - scale.height(top)), place(wide), place(height))
