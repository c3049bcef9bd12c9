"""Which part of the past is asked for."""

import base64
import binascii
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
DEFAULT_SPAN = {"hour": timedelta(days=2), "day": timedelta(days=31), "month": timedelta(days=365)}


class Place(Struct, array_like=True):
    """Where a page ended."""

    start: datetime
    feature: str
    key_id: UUID = NO_KEY
    member_id: int = NOBODY


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
    until = _moment(said, "until") or at
    try:
        since = floor(_moment(said, "since") or until - DEFAULT_SPAN[interval], interval)
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
        moment = msgspec.convert(said[name].replace(" ", "+"), datetime)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise invalid(name, "Give a time as ISO 8601, such as 2026-06-01T00:00:00Z.") from None


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
