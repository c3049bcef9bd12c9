"""The time that a report covers, its buckets, and the period before that it is compared with."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from entitlements.periods import Period
from usage.history_query import Interval, ceil, floor

Name = Literal["day", "week", "month", "current", "last", "custom"]
ROLLING = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
# Longer custom periods have a bucket for each day, and even longer ones for each month. The chart of 92 bars still fits on a phone.
MAX_DAYS_BY_HOUR, MAX_DAYS_BY_DAY = 2, 92


@dataclass(frozen=True)
class Bucket:
    """An hour, day or month (UTC) of the report. `label` is a day for days and months, which are never converted to other time zones."""

    start: datetime
    label: date


@dataclass(frozen=True)
class ReportPeriod:
    """The times of a report: from `since` until `read_until`, which is in the future while the period is running.

    `ends` is the end of the whole period. The period before is compared up to the same point in time: `before_until` is as long after
    `before_since` as the present is after `since`. `quota` tells whether the period is a usage month.
    """

    since: datetime
    read_until: datetime
    ends: datetime
    interval: Interval
    before_since: datetime
    before_until: datetime
    quota: bool = False

    @property
    def buckets(self) -> list[Bucket]:
        result, start = [], floor(self.since, self.interval)
        while start < self.read_until:
            result.append(Bucket(start, start if self.interval == "hour" else start.date()))
            start = ceil(start + timedelta(microseconds=1), self.interval)
        return result

    @property
    def is_running(self) -> bool:
        """Return whether only a part of the period has passed, and is compared with the same part of the period before."""
        return self.before_until - self.before_since < self.ends - self.since

    @property
    def last_moment(self) -> datetime:
        """Return a time within the last bucket that is shown."""
        return self.read_until - timedelta(microseconds=1)

    def bucket_before(self, starts: list[datetime], start: datetime) -> int:
        """Return the number of the bucket that a bucket of the period before, which starts at `start`, is compared with."""
        moved = max(start, self.before_since) + (self.since - self.before_since)
        return max(0, bisect_right(starts, moved) - 1)


def rolling(name: str, at: datetime) -> ReportPeriod:
    """Return the last 24 hours, 7 days or 30 days, including the current hour or day."""
    length = ROLLING[name]
    interval: Interval = "hour" if name == "day" else "day"
    end = ceil(at, interval)
    return _compared(end - length, end, end, interval, at, length)


def custom(first: date, last: date, at: datetime) -> ReportPeriod:
    """Return the period from the day `first` to the day `last` (UTC), which it includes."""
    since, ends = _midnight(first, at), _midnight(last, at) + timedelta(days=1)
    days = (ends - since).days
    interval: Interval = "hour" if days <= MAX_DAYS_BY_HOUR else "day" if days <= MAX_DAYS_BY_DAY else "month"
    end = max(since + timedelta(hours=1), min(ends, ceil(at, interval)))
    return _compared(since, end, ends, interval, at, ends - since)


def usage_month(period: Period, before: Period, at: datetime) -> ReportPeriod:
    """Return a usage month by day, compared with the one before."""
    end = min(period.end, ceil(at, "day"))
    elapsed = min(period.end, ceil(at, "hour")) - period.start
    return ReportPeriod(period.start, end, period.end, "day", before.start, min(before.end, before.start + elapsed), quota=True)


def _compared(since: datetime, end: datetime, ends: datetime, interval: Interval, at: datetime, length: timedelta) -> ReportPeriod:  # noqa: PLR0917
    # Whole hours, so that no events have to be read.
    present = max(since, min(end, ceil(at, "hour")))
    return ReportPeriod(since, end, ends, interval, since - length, present - length)


def _midnight(day: date, at: datetime) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=at.tzinfo)
