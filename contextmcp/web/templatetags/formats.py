"""Dates, times and numbers by the reader's locale and time zone. None and an empty string stay empty."""

from datetime import date, datetime

from django import template

from contextmcp.common import formatting

register = template.Library()


@register.filter
def day(value: date | None) -> str:
    """Return a date such as "December 10, 2026"."""
    return formatting.format_day(value) if value else ""


@register.filter
def short_day(value: date | None) -> str:
    """Return a date such as "December 10"."""
    return formatting.format_short_day(value) if value else ""


@register.filter
def moment(value: datetime | None) -> str:
    """Return a date and time such as "December 10, 2026, 2:37 PM UTC"."""
    return formatting.format_moment(value) if value else ""


@register.filter
def short_moment(value: datetime | None) -> str:
    """Return a date and time such as "December 10, 2:37 PM UTC"."""
    return formatting.format_short_moment(value) if value else ""


@register.filter
def clock_time(value: datetime | None) -> str:
    """Return a time such as "2:37 PM". A page with such times shows the tag `zone_name` once."""
    return formatting.format_clock_time(value) if value else ""


@register.filter
def number(value: float | None) -> str:
    """Return a number such as "1,234"."""
    return formatting.format_number(value) if isinstance(value, int | float) else ""


@register.filter
def percent(value: float | None) -> str:
    """Return a share of 100 such as "17%"."""
    return formatting.format_percent(value) if isinstance(value, int | float) else ""


@register.simple_tag
def zone_name() -> str:
    """Return the name of the reader's time zone, such as "UTC"."""
    return formatting.zone_name()
