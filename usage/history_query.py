"""Parse usage history queries and split their time range into ranges of summaries and events."""

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

from .authorize.requests import validation_error
from .types import NO_KEY, NO_MEMBER

Grouping = Literal["meter", "key", "member", "tool"]
Interval = Literal["hour", "day", "month"]
MAX_ROWS = 1_000
HISTORY_PARAMETERS = ("interval", "groupBy", "feature", "since", "until", "limit", "cursor", "format")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
DEFAULT_SPAN = {"hour": timedelta(days=2), "day": timedelta(days=31), "month": timedelta(days=365)}


class Cursor(Struct, array_like=True):
    """Position of the last row of a page."""

    start: datetime
    feature: str
    key_id: UUID = NO_KEY
    member_id: int = NO_MEMBER
    tool: str = ""


class SummaryRange(Struct):
    """A time range and the grain of the summaries to read for it: hours ("h") or days ("d"). With None, events are read instead."""

    grain: Literal["h", "d"] | None
    since: datetime
    until: datetime


class HistoryQuery(Struct):
    """A validated query of the usage history. The range includes `since` and excludes `until`."""

    interval: Interval
    group: Grouping
    since: datetime
    until: datetime
    feature: str | None = None
    limit: int = MAX_ROWS
    after: Cursor | None = None

    def cursor_after(self, row: Any) -> str:
        """Return the cursor of the page that follows `row`."""
        cursor = Cursor(row.start, row.feature, UUID(row.key_id) if row.key_id else NO_KEY, row.member_id or NO_MEMBER, row.tool or "")
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def parse_history_query(parameters: Mapping[str, str], at: datetime) -> HistoryQuery:
    """Parse the parameters of a query string. `at` is the organization's time. Raise `ValidationFailed`, or `NotFound` for the cursor."""
    interval = cast(Interval, _choice(parameters, "interval", get_args(Interval), "day"))
    group = cast(Grouping, _choice(parameters, "groupBy", get_args(Grouping), "meter"))
    # The default of `until` is the end of the current interval, so that events up to 5 minutes in the future are included.
    until = _moment(parameters, "until") or ceil(at, interval)
    try:
        since = _moment(parameters, "since") or floor(until - DEFAULT_SPAN[interval], interval)
    except OverflowError:
        raise validation_error("until", "Enter a time between the years 1 and 9999.") from None
    if since >= until:
        raise validation_error("since", "This time must be before until.")
    return HistoryQuery(interval, group, since, until, _feature(parameters), _limit(parameters), _cursor(parameters))


def floor(moment: datetime, interval: Interval) -> datetime:
    """Return the start of the hour, day or month (UTC) that contains `moment`."""
    moment = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if interval == "hour":
        return moment
    return moment.replace(hour=0) if interval == "day" else moment.replace(hour=0, day=1)


def ceil(moment: datetime, interval: Interval) -> datetime:
    """Return the first start of an hour, day or month (UTC) at or after `moment`. Raise `OverflowError` past the year 9999."""
    start = floor(moment, interval)
    if start == moment:
        return start
    # 31 days after the first day of a month is in the next month.
    return floor(start + {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=31)}[interval], interval)


def split_range(query: HistoryQuery) -> list[SummaryRange]:
    """Split the range into ranges that whole summaries cover, and partial hours at its ends, which are read from events."""
    since, until = query.since, query.until
    first_hour, last_hour = _ceil_within(since, "hour", until), floor(until, "hour")
    if first_hour > last_hour:
        return [SummaryRange(None, since, until)]
    first_day, last_day = _ceil_within(first_hour, "day", last_hour), floor(last_hour, "day")
    if query.interval == "hour" or first_day > last_day:
        middle = [SummaryRange("h", first_hour, last_hour)]
    else:
        middle = [SummaryRange("h", first_hour, first_day), SummaryRange("d", first_day, last_day), SummaryRange("h", last_day, last_hour)]
    ranges = [SummaryRange(None, since, first_hour), *middle, SummaryRange(None, last_hour, until)]
    return [time_range for time_range in ranges if time_range.since < time_range.until]


def _ceil_within(moment: datetime, interval: Interval, until: datetime) -> datetime:
    """Return `ceil(moment)`, or `until` if the result is after the year 9999."""
    try:
        return ceil(moment, interval)
    except OverflowError:
        return until


def _choice(parameters: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    value = parameters.get(name, default)
    if value not in known:
        raise validation_error(name, f"Must be one of: {', '.join(known)}.")
    return value


def _moment(parameters: Mapping[str, str], name: str) -> datetime | None:
    if name not in parameters:
        return None
    try:
        # An unencoded plus sign in a query string is decoded as a space.
        text = parameters[name].replace(" ", "+")
        moment = msgspec.convert(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text, datetime)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise validation_error(name, "Enter an ISO 8601 date or time, such as 2026-06-01 or 2026-06-01T00:00:00Z.") from None


def _feature(parameters: Mapping[str, str]) -> str | None:
    feature = parameters.get("feature")
    if feature is not None and not (0 < len(feature) <= 64 and feature.isprintable()):
        raise validation_error("feature", "Enter the name of a meter.")
    return feature


def _limit(parameters: Mapping[str, str]) -> int:
    text = parameters.get("limit", str(MAX_ROWS))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_ROWS):
        raise validation_error("limit", f"Enter a number from 1 to {MAX_ROWS}.")
    return int(text)


def _cursor(parameters: Mapping[str, str]) -> Cursor | None:
    text = parameters.get("cursor")
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw, type=Cursor)
        cursor.feature.encode()
        cursor.tool.encode()
        if "\x00" in cursor.feature + cursor.tool or cursor.start.tzinfo is None or abs(cursor.member_id) >= 2**63:
            raise ValueError
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        raise NotFound("The cursor is not valid. Use `nextCursor` of the previous page.") from None
    return cursor
