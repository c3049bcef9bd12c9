"""Dates, times and numbers as the present locale writes them, in the present time zone. See `contextmcp.common.locale`."""

from datetime import date, datetime, tzinfo
from decimal import Decimal

from babel import dates, numbers
from django.utils import timezone

from . import locale

# Names such as "MEZ" are shorter. Longer ones ("Eastern Standard Time") are replaced by the offset.
_MAX_ZONE_NAME = 5


def format_day(value: date) -> str:
    """Return a date such as "December 10, 2026"."""
    return str(dates.format_date(_local(value), "long", locale=locale.current.get()))


def format_short_day(value: date) -> str:
    """Return a date without its year, such as "December 10"."""
    return format_skeleton(value, "MMMMd")


def format_skeleton(value: date, skeleton: str) -> str:
    """Return the parts of a date that a skeleton of CLDR names: "MMMd" is "Dec 10" in en-US and "10. Dez." in de-DE."""
    return str(dates.format_skeleton(skeleton, _local(value), locale=locale.current.get()))


def format_moment(value: datetime) -> str:
    """Return a date and time with its zone, such as "December 10, 2026, 2:37 PM UTC"."""
    return _joined(format_day(value), value)


def format_short_moment(value: datetime) -> str:
    """Return a date without its year and a time with its zone, such as "December 10, 2:37 PM UTC"."""
    return _joined(format_short_day(value), value)


def format_clock_time(value: datetime) -> str:
    """Return a time without its zone, such as "2:37 PM", for a page that names the zone once."""
    # CLDR has a narrow no-break space before "PM", which many fonts do not have.
    return str(dates.format_time(timezone.localtime(value), "short", locale=locale.current.get())).replace("\u202f", " ")


def zone_name(value: datetime | None = None) -> str:
    """Return the name of the present time zone, such as "UTC", "MEZ" or "UTC+5:30". It depends on the date in zones with summer time."""
    moment = timezone.localtime(value)
    zone = moment.tzinfo
    assert isinstance(zone, tzinfo)
    if str(zone) in {"UTC", "Etc/UTC"}:
        return "UTC"
    name = str(dates.format_datetime(moment, "z", tzinfo=zone, locale=locale.current.get()))
    return name if name.isalpha() and len(name) <= _MAX_ZONE_NAME else _offset(moment)


def format_number(value: float) -> str:
    """Return a number such as "1,234" or "0.5"."""
    return str(numbers.format_decimal(value, locale=locale.current.get()))


def format_percent(value: float) -> str:
    """Return a share of 100: 17 is "17%" in en-US and "17 %" in de-DE. 33.3 is "33.3%"."""
    share = Decimal(str(value)) / 100
    return str(numbers.format_percent(share, locale=locale.current.get(), decimal_quantization=False))


def _local(value: date) -> date:
    return timezone.localtime(value) if isinstance(value, datetime) and timezone.is_aware(value) else value


def _joined(day: str, value: datetime) -> str:
    pattern = str(dates.get_datetime_format("medium", locale=locale.current.get()))
    return pattern.replace("{1}", day).replace("{0}", f"{format_clock_time(value)} {zone_name(value)}")


def _offset(moment: datetime) -> str:
    offset = moment.utcoffset()
    assert offset is not None
    minutes = round(offset.total_seconds() / 60)
    sign, hours, rest = "-" if minutes < 0 else "+", *divmod(abs(minutes), 60)
    return f"UTC{sign}{hours}{f':{rest:02}' if rest else ''}"
