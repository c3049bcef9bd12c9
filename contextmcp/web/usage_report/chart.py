"""The chart of a report: bars for each hour, day or month, or lines that add up over a usage month."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from contextmcp.web.charts import BarChart, Line, LineChart, Mark, Slot, bar_chart, line_chart
from contextmcp.web.charts.scale import MAX_LABELS

from .outlook import Outlook
from .report import COLORS, Report
from .times import axis_text, sentence_text

_DAY = timedelta(days=1)


def report_bars(report: Report) -> BarChart:
    """Return the bars of each bucket, stacked by series. The series without an own color are added up."""
    interval = report.period.interval
    return bar_chart(
        [
            Slot(axis_text(bucket.label, interval), sentence_text(bucket.label, interval), _colored(row.amounts), row.before)
            for bucket, row in zip(report.period.buckets, report.rows, strict=True)
        ]
    )


def report_lines(report: Report, outlook: Outlook | None, rest_of_before: Sequence[tuple[datetime, int]], at: datetime) -> LineChart:
    """Return the running total of a usage month, of the one before, the forecast, and the limits.

    `rest_of_before` are the days of the period before that are later in it than `at` is in this one.
    """
    period = report.period
    length = period.ends - period.since
    present = min(period.ends, max(period.since, at))

    def share(moment: datetime) -> float:
        return (moment - period.since) / length

    now: list[tuple[float, int]] = [(0.0, 0)]
    before: list[tuple[float, int]] = [(0.0, 0)]
    total_before = 0
    for row in report.rows:
        end = min(row.start + _DAY, present)
        total_before += row.before
        now.append((share(end), row.running))
        before.append((share(end), total_before))
    moved = period.since - period.before_since
    for day, amount in rest_of_before:
        total_before += amount
        # The month before can be longer.
        if (place := share(day + _DAY + moved)) <= 1:
            before.append((place, total_before))
    lines = [Line("before", before), Line("now", now, filled=True)]
    if outlook and outlook.forecast:
        lines.append(Line("forecast", [(share(present), report.change.total), (1.0, outlook.forecast.amount)]))
    return line_chart(lines, _marks(outlook), _ticks(period.since, period.ends))


def _colored(amounts: Sequence[int]) -> tuple[int, ...]:
    rest = amounts[COLORS:]
    return (*amounts[:COLORS], sum(rest)) if rest else tuple(amounts)


def _marks(outlook: Outlook | None) -> list[Mark]:
    if outlook is None or outlook.included is None:
        return []
    marks = [Mark("limit", outlook.included)]
    if outlook.cap_units is not None and outlook.cap_units > outlook.included:
        marks.append(Mark("cap", outlook.cap_units))
    return marks


def _ticks(since: datetime, ends: datetime) -> list[tuple[float, str]]:
    """Return the days to label, each at its start. The first one is that of the period's start."""
    days = (ends - since).days or 1
    step = -(-days // MAX_LABELS)
    return [(number / days, axis_text((since + number * _DAY).date(), "day")) for number in range(0, days, step)]
