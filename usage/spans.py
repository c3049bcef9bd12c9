"""Which part of the past is asked for."""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast, get_args
from uuid import UUID

import msgspec
from msgspec import Struct

from contextmcp.common.errors import NotFound

from .requests import invalid
from .types import NO_KEY, NOBODY

Grouping = Literal["meter", "key", "member"]
Interval = Literal["hour", "day", "month"]
MOST_ROWS = 1_000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
DEFAULT_SPAN = {"hour": timedelta(days=2), "day": timedelta(days=31), "month": timedelta(days=365)}


class Place(Struct, array_like=True):
    """Where a page ended."""

    start: datetime
    feature: str
    key_id: UUID = NO_KEY
    member_id: int = NOBODY


class Piece(Struct):
    """A range of time and the grain of the summaries to read it from: hours ("h"), days ("d"), or the events themselves (None)."""

    grain: Literal["h", "d"] | None
    since: datetime
    until: datetime


class Span(Struct):
    interval: Interval
    group: Grouping
    since: datetime
    until: datetime
    feature: str | None = None
    limit: int = MOST_ROWS
    after: Place | None = None

    def cursor_after(self, row: Any) -> str:
        place = Place(row.start, row.feature, UUID(row.key_id) if row.key_id else NO_KEY, row.member_id or NOBODY)
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode().rstrip("=")


def span(said: Mapping[str, str], at: datetime) -> Span:
    """From a query string; refuses what it does not understand."""
    interval = cast(Interval, _choice(said, "interval", get_args(Interval), "day"))
    group = cast(Grouping, _choice(said, "groupBy", get_args(Grouping), "meter"))
    # Without `until`, the interval that is running counts whole, events a few minutes ahead included.
    until = _moment(said, "until") or ceil(at, interval)
    try:
        since = _moment(said, "since") or floor(until - DEFAULT_SPAN[interval], interval)
    except OverflowError:
        raise invalid("until", "Give a time within the calendar.") from None
    if since >= until:
        raise invalid("since", "This must be before until.")
    return Span(interval, group, since, until, _feature(said), _limit(said), _place(said))


def floor(moment: datetime, interval: Interval) -> datetime:
    """The beginning of the hour, day or month (UTC) that it lies in."""
    moment = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if interval == "hour":
        return moment
    return moment.replace(hour=0) if interval == "day" else moment.replace(hour=0, day=1)


def ceil(moment: datetime, interval: Interval) -> datetime:
    """Return the first beginning of an hour, day or month (UTC) that is not before `moment`. Raises OverflowError."""
    start = floor(moment, interval)
    if start == moment:
        return start
    # 31 days after the first of a month lie in the next one.
    return floor(start + {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=31)}[interval], interval)


def pieces(span: Span) -> list[Piece]:
    """Split a span into ranges that summaries cover whole, and the parts of hours at its ends, which only the events know."""
    since, until = span.since, span.until
    first_hour, last_hour = _ceil_within(since, "hour", until), floor(until, "hour")
    if first_hour > last_hour:
        return [Piece(None, since, until)]
    first_day, last_day = _ceil_within(first_hour, "day", last_hour), floor(last_hour, "day")
    if span.interval == "hour" or first_day > last_day:
        middle = [Piece("h", first_hour, last_hour)]
    else:
        middle = [Piece("h", first_hour, first_day), Piece("d", first_day, last_day), Piece("h", last_day, last_hour)]
    found = [Piece(None, since, first_hour), *middle, Piece(None, last_hour, until)]
    return [piece for piece in found if piece.since < piece.until]


def _ceil_within(moment: datetime, interval: Interval, until: datetime) -> datetime:
    """As `ceil`; at the end of the calendar, `until`."""
    try:
        return ceil(moment, interval)
    except OverflowError:
        return until


def _choice(said: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    value = said.get(name, default)
    if value not in known:
        raise invalid(name, f"Give one of {', '.join(known)}.")
    return value


def _moment(said: Mapping[str, str], name: str) -> datetime | None:
    if name not in said:
        return None
    try:
        # A plus that nobody encoded arrives as a space.
        text = said[name].replace(" ", "+")
        moment = msgspec.convert(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text, datetime)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise invalid(name, "Give a date or a time as ISO 8601, such as 2026-06-01 or 2026-06-01T00:00:00Z.") from None


def _feature(said: Mapping[str, str]) -> str | None:
    feature = said.get("feature")
    if feature is not None and not (0 < len(feature) <= 64 and feature.isprintable()):
        raise invalid("feature", "Give the name of a meter.")
    return feature


def _limit(said: Mapping[str, str]) -> int:
    text = said.get("limit", str(MOST_ROWS))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_ROWS):
        raise invalid("limit", f"Give a number from 1 to {MOST_ROWS}.")
    return int(text)


def _place(said: Mapping[str, str]) -> Place | None:
    text = said.get("cursor")
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = msgspec.msgpack.decode(raw, type=Place)
        place.feature.encode()
        if "\x00" in place.feature or place.start.tzinfo is None or abs(place.member_id) >= 2**63:
            raise ValueError
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        raise NotFound("There is no such page.") from None
    return place
