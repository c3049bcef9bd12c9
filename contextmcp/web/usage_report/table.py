"""The columns of the table, and the CSV with the same numbers."""

import csv
from collections.abc import Iterator
from io import StringIO

from django.utils.translation import gettext as _

from .report import Report, Series

# Spreadsheets would run a name that begins with one of these as a formula (CWE-1236).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(report: Report) -> str:
    """Return the report as CSV, in the order of time. Times are in UTC."""
    output = StringIO()
    writer = csv.writer(output)
    writer.writerow(_headings(report))
    for row in report.rows:
        amounts = list(row.amounts) if report.is_grouped else []
        running = [row.running] if report.is_running_total else []
        start = row.start.strftime("%Y-%m-%dT%H:%MZ" if report.period.interval == "hour" else "%Y-%m-%d")
        writer.writerow([start, *amounts, row.total, *running, row.before])
    return output.getvalue()


def csv_name(report: Report) -> str:
    """Return the name of the file."""
    since, until = report.period.since, report.period.last_moment
    return f"usage-{report.feature}-{report.selection.group}-{since:%Y-%m-%d}-{until:%Y-%m-%d}.csv"


def _headings(report: Report) -> Iterator[str]:
    yield _("Start (UTC)")
    if report.is_grouped:
        yield from (_safe(series_name(series)) for series in report.series)
        yield _("Total")
    else:
        yield report.title
    if report.is_running_total:
        yield _("Total so far")
    yield _("Period before")


def series_name(series: Series) -> str:
    """Return the name of a series with what tells it apart from others of the same name."""
    return f"{series.label.name} ({series.label.hint})" if series.label.hint else series.label.name


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
