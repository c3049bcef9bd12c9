"""Months counted from an anchor. In UTC, so a day always has 24 hours."""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Period:
    """Half open: `start` belongs to it, `end` to the next."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def add_months(anchor: datetime, months: int) -> datetime:
    """`months` after `anchor` on the anchor's day, or the month's last where it has no such day: 31 January, 28 February, 31 March."""
    years, month = divmod(anchor.month - 1 + months, 12)
    year = anchor.year + years
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    return anchor.replace(year=year, month=month + 1, day=day)


def month_period(anchor: datetime, at: datetime) -> Period:
    """The month from `anchor` that `at` lies in, before the anchor as well."""
    anchor, at = anchor.astimezone(UTC), at.astimezone(UTC)
    months = (at.year - anchor.year) * 12 + at.month - anchor.month
    # The calendar's month has begun, the anchor's day in it may not have.
    if add_months(anchor, months) > at:
        months -= 1
    return Period(add_months(anchor, months), add_months(anchor, months + 1))
