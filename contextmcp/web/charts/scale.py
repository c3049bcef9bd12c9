"""The axes: a scale with round numbers, and the labels below a chart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from babel.numbers import format_compact_decimal, format_decimal

from contextmcp.common import locale

MAX_STEPS = 4
# Labels such as "11:00 PM" of a chart on a phone do not touch each other.
MAX_LABELS = 4
# Larger numbers are abbreviated ("25K"), because the labels have a fixed width.
COMPACT_FROM = 10_000


@dataclass(frozen=True)
class Tick:
    """A label of an axis, and its position as an attribute of the SVG."""

    place: str
    label: str


@dataclass(frozen=True)
class Scale:
    """The vertical axis, from 0 to `top`."""

    top: int
    step: int

    def height(self, value: int) -> float:
        """Return the height of a value in percent of the plot: 0 for negative values, at most 100."""
        return min(100.0, max(0.0, 100 * value / self.top))

    @property
    def ticks(self) -> tuple[Tick, ...]:
        return tuple(Tick(place(100 - self.height(value)), _number(value)) for value in range(0, self.top + 1, self.step))


def nice_scale(highest: int) -> Scale:
    """Return the scale with the smallest round step that reaches `highest` in at most `MAX_STEPS` steps."""
    highest = max(1, highest)
    step = next(step for step in _round_steps() if step * MAX_STEPS >= highest)
    return Scale(step * -(-highest // step), step)


def _round_steps() -> Iterator[int]:
    # There are no halves of a unit, so a step of 2.5 occurs from 25 on.
    yield from (1, 2, 5)
    for exponent in count():
        for digits in (10, 20, 25, 50):
            yield digits * 10**exponent


def place(percent: float) -> str:
    """Return a position as an attribute. Templates would write the decimal separator of the reader's language."""
    return f"{percent:.2f}".rstrip("0").rstrip(".") + "%"


def labels(texts: Sequence[str]) -> tuple[Tick, ...]:
    """Return at most `MAX_LABELS` labels at regular distances for slots of equal width, each at the middle of its slot."""
    step = -(-len(texts) // MAX_LABELS) or 1
    return tuple(Tick(place(100 * (number + 0.5) / len(texts)), texts[number]) for number in range(0, len(texts), step))


def _number(value: int) -> str:
    current = locale.current.get()
    return str(
        format_decimal(value, locale=current) if value < COMPACT_FROM else format_compact_decimal(value, fraction_digits=1, locale=current)
    )
