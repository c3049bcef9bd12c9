"""Billing periods: calendar arithmetic from an anchor, so that a subscription from the 31st returns to the 31st."""

import calendar
from datetime import UTC, datetime, timedelta

MONTHS = {"month": 1, "year": 12}
DAYS = {"day": 1, "week": 7}


def shift(anchor: int, interval: str, number: int) -> int:
    """Return `anchor` plus `number` intervals, always counted from the anchor itself."""
    start = datetime.fromtimestamp(anchor, UTC)
    if interval in DAYS:
        return int((start + timedelta(days=DAYS[interval] * number)).timestamp())
    months = start.year * 12 + start.month - 1 + MONTHS[interval] * number
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def containing(anchor: int, interval: str, count: int, moment: int) -> tuple[int, int]:
    """Return the period of the anchor's cycle that contains `moment`. The start is inclusive, the end exclusive."""
    average = {"day": 86_400, "week": 604_800, "month": 2_629_746, "year": 31_556_952}[interval] * count
    step = (moment - anchor) // average
    while shift(anchor, interval, step * count) > moment:
        step -= 1
    while shift(anchor, interval, (step + 1) * count) <= moment:
        step += 1
    return shift(anchor, interval, step * count), shift(anchor, interval, (step + 1) * count)
