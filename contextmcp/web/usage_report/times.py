"""The buckets of a report as text: at the axis of a chart, in a row of the table, and in a sentence.

Days and months are those of UTC in every time zone. Hours are in the reader's zone.
"""

from collections.abc import Callable
from datetime import date, datetime

from contextmcp.common.formatting import format_clock_time, format_day, format_short_day, format_skeleton
from usage.history_query import Interval

_AXIS: dict[Interval, Callable[[date], str]] = {
    "hour": lambda at: format_clock_time(_moment(at)),
    "day": lambda at: format_skeleton(at, "MMMd"),
    "month": lambda at: format_skeleton(at, "yMMM"),
}
_ROW: dict[Interval, Callable[[date], str]] = {
    "hour": lambda at: f"{format_skeleton(at, 'MMMd')}, {format_clock_time(_moment(at))}",
    "day": lambda at: format_skeleton(at, "yMMMd"),
    "month": lambda at: format_skeleton(at, "yMMMM"),
}
_SENTENCE: dict[Interval, Callable[[date], str]] = {
    "hour": lambda at: f"{format_short_day(at)}, {format_clock_time(_moment(at))}",
    "day": format_day,
    "month": lambda at: format_skeleton(at, "yMMMM"),
}


def axis_text(at: date, interval: Interval) -> str:
    """Return a label of the axis, such as "Nov 28"."""
    return _AXIS[interval](at)


def row_text(at: date, interval: Interval) -> str:
    """Return the heading of a row, such as "Nov 28, 2026"."""
    return _ROW[interval](at)


def sentence_text(at: date, interval: Interval) -> str:
    """Return the text in a sentence, such as "November 28, 2026"."""
    return _SENTENCE[interval](at)


def _moment(at: date) -> datetime:
    assert isinstance(at, datetime)
    return at
