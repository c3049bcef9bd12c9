"""A line chart of running totals over a period, with marks such as a limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from .scale import Scale, Tick, nice_scale, place

# The line of a mark is drawn only if it is at most this many times as high as the highest value. Otherwise the lines would be flat.
MAX_HEADROOM = 4


@dataclass(frozen=True)
class Line:
    """Points of (share of the period from 0 to 1, value), in the order of time. `name` is the CSS class."""

    name: str
    points: Sequence[tuple[float, int]]
    filled: bool = False


@dataclass(frozen=True)
class Mark:
    """A horizontal line at a value, such as a limit. `name` is the CSS class."""

    name: str
    value: int


@dataclass(frozen=True)
class Path:
    """A drawn line. `area` is the shape below it, or empty. `end_x` and `end_y` are the place of its last point, of `value`."""

    name: str
    line: str
    area: str
    end_x: str
    end_y: str
    value: int


@dataclass(frozen=True)
class DrawnMark:
    name: str
    value: int
    y: str


@dataclass(frozen=True)
class LineChart:
    """Paths have coordinates from 0 to 100; all other positions are percentages."""

    scale: Scale
    paths: tuple[Path, ...]
    marks: tuple[DrawnMark, ...]
    ticks: tuple[Tick, ...]


def line_chart(lines: Sequence[Line], marks: Sequence[Mark], ticks: Sequence[tuple[float, str]]) -> LineChart:
    """Return the chart of lines that share one scale. `ticks` are the labels below it, with their share of the period."""
    highest = max((value for line in lines for _, value in line.points), default=0)
    near = [mark for mark in marks if mark.value <= MAX_HEADROOM * max(1, highest)]
    scale = nice_scale(max([highest, *(mark.value for mark in near)]))
    return LineChart(
        scale,
        tuple(_path(scale, line) for line in lines if line.points),
        tuple(DrawnMark(mark.name, mark.value, place(100 - scale.height(mark.value))) for mark in near),
        tuple(Tick(place(100 * share), label) for share, label in ticks),
    )


def _path(scale: Scale, line: Line) -> Path:
    points = [f"{100 * share:.2f} {100 - scale.height(value):.2f}" for share, value in line.points]
    drawn = "M" + " L".join(points)
    (first, _), (last, value) = line.points[0], line.points[-1]
    area = f"{drawn} L{100 * last:.2f} 100 L{100 * first:.2f} 100 Z" if line.filled else ""
    return Path(line.name, drawn, area, place(100 * last), place(100 - scale.height(value)), value)
