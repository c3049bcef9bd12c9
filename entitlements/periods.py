"""Usage months, counted from an anchor in UTC."""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open period: it includes `start` and excludes `end`."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def add_months(anchor: datetime, months: int) -> datetime:
    """Return the time `months` after `anchor`, on the anchor's day or the month's last day: January 31, February 28, March 31."""
    years, month = divmod(anchor.month - 1 + months, 12)
    year = anchor.year + years
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


def month_period(anchor: datetime, at: datetime) -> Period:
    """Return the usage month that contains `at`, which may be before the anchor."""
    anchor, at = anchor.astimezone(UTC), at.astimezone(UTC)
    months = (at.year - anchor.year) * 12 + at.month - anchor.month
    # The anchor's day may not have been reached in the calendar month of `at`.
    if add_months(anchor, months) > at:
        months -= 1
    return Period(add_months(anchor, months), add_months(anchor, months + 1))
