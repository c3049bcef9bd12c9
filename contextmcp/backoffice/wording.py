"""Dates of the back office's pages, as text."""

from datetime import datetime

from django.utils.formats import date_format


def moment(at: datetime | None, missing: str = "-") -> str:
    """Return a date and time with its zone, such as "Nov 28, 2026, 12:04 UTC"."""
    return f"{date_format(at, 'DATETIME_FORMAT')} UTC" if at else missing


def day(at: datetime | None, missing: str = "-") -> str:
    """Return a date in UTC, such as "Nov 28, 2026"."""
    return date_format(at, "M j, Y") if at else missing
