"""The base of all sources: streams of rows ordered by time, and their positions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, ClassVar

from django.db.models import F, IntegerField, QuerySet, Value

from contextmcp.web.activity.cursor import Cursor, invalid_cursor
from contextmcp.web.activity.names import Names, References
from contextmcp.web.activity.types import Entry, Kind, Query


class Stream(IntEnum):
    """The rows of one table at one of their times. The value orders rows of equal time and is part of cursors, so it must not change."""

    AUDIT = 1
    REFUSAL = 2
    INVOICE_PAID = 3
    INVOICE_FAILED = 4
    INVOICE_ISSUED = 5
    ADJUSTMENT = 6
    SUBSCRIPTION_ENDED = 7
    SUBSCRIPTION_CANCELED = 8
    TRIAL_ENDED = 9
    SUBSCRIPTION_STARTED = 10
    FAILED_ACTION = 11
    ALERT = 12
    EMAIL = 13


@dataclass(frozen=True)
class Item:
    """A row at one of its times. `key` orders rows of the same stream and time."""

    at: datetime
    stream: Stream
    key: Any
    source: "Source"
    row: Any

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.at, self.stream, str(self.key))


@dataclass(frozen=True)
class Batch:
    """The next items of a source, in order. If `reached` is set, the source has read back to that time only, and has older items."""

    items: list[Item]
    reached: datetime | None = None


class Source:
    """One table of the timeline.

    `kinds` are the kinds of its entries, and `staff_only` whether customers see none of them.
    """

    kinds: ClassVar[frozenset[Kind]]
    staff_only: ClassVar[bool] = False

    def read(self, query: Query) -> Batch:
        """Return the items at or after the query's cursor, at most one more than its limit."""
        raise NotImplementedError

    def refer(self, row: Any, references: References) -> None:
        """Add the people and keys of the row's sentence to `references`, which are read for all rows of the page at once."""

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        """Return the item's entry."""
        raise NotImplementedError


def newest(rows: QuerySet[Any], query: Query, stream: Stream, at: str = "created_at", parse: Callable[[str], Any] = int) -> QuerySet[Any]:
    """Return the first rows of a stream at or after the query's cursor. `at` is the column of their time, `parse` reads a row's key."""
    rows = _after(rows, query.cursor, stream, at, parse)
    if query.since:
        rows = rows.filter(**{f"{at}__gte": query.since})
    if query.until:
        rows = rows.filter(**{f"{at}__lt": query.until})
    return rows.order_by(F(at).desc(), "-pk")[: query.limit + 1]


def _after(rows: QuerySet[Any], cursor: Cursor | None, stream: Stream, at: str, parse: Callable[[str], Any]) -> QuerySet[Any]:
    if cursor is None:
        return rows
    if stream < cursor.rank:
        return rows.filter(**{f"{at}__lt": cursor.at})
    rows = rows.filter(**{f"{at}__lte": cursor.at})
    if stream > cursor.rank:
        return rows
    try:
        key = parse(cursor.key)
    except ValueError:
        raise invalid_cursor() from None
    # The first condition is a range of the index. An OR of both would not be.
    return rows.exclude(**{at: cursor.at, "pk__gte": key})


def items(source: Source, rows: Iterable[Any], stream: Stream, at: str = "created_at") -> list[Item]:
    return [Item(getattr(row, at), stream, row.pk, source, row) for row in rows]


def union(source: Source, query: Query, streams: Mapping[Stream, tuple[QuerySet[Any], str]]) -> list[Item]:
    """Return the items of several streams of one table, each with the column of its time, with one query."""
    parts = [
        newest(rows.annotate(stream=Value(int(stream), IntegerField()), moment=F(at)), query, stream, at)
        for stream, (rows, at) in streams.items()
    ]
    rows = parts[0].union(*parts[1:], all=True)
    return [Item(row.moment, Stream(row.stream), row.pk, source, row) for row in rows]
