"""The base of all sources: streams of rows ordered by time, and their positions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, ClassVar

from django.db.models import F, IntegerField, JSONField, Model, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import JSONObject

from accounts.models import User
from contextmcp.web.activity.cursor import Cursor, invalid_cursor
from contextmcp.web.activity.names import Names, References
from contextmcp.web.activity.types import Entry, Kind, Query

# What sentences say about a user.
_USER_FIELDS = ("email", "name", "is_staff", "is_superuser")


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


@dataclass(frozen=True)
class StreamRows:
    """The rows of a stream. `at` is the column of their time, and `parse` reads a row's key.

    `without` are columns that entries do not need. `extras` are expressions whose values become attributes of the row.
    """

    stream: Stream
    rows: QuerySet[Any]
    at: str = "created_at"
    parse: Callable[[str], Any] = int
    without: tuple[str, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)


class Source:
    """One table of the timeline.

    `kinds` are the kinds of its entries, and `staff_only` whether customers see none of them. A source has streams, or reads its items.
    """

    kinds: ClassVar[frozenset[Kind]]
    staff_only: ClassVar[bool] = False

    def streams(self, query: Query) -> Sequence[StreamRows]:
        """Return the streams of the table, which `read_streams` reads together with those of all other tables."""
        return ()

    def read(self, query: Query) -> Batch:
        """Return the items at or after the query's cursor that are in none of the streams, at most one more than its limit."""
        return Batch([])

    def refer(self, row: Any, references: References) -> None:
        """Add the people and keys of the row's sentence to `references`, which are read for all rows of the page at once."""

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        """Return the item's entry."""
        raise NotImplementedError


def read_streams(query: Query, sources: Iterable[Source]) -> list[Item]:
    """Return the next rows of each stream, with one query. Postgres finds those of each stream by an index."""
    streams = {each.stream: (source, each) for source in sources for each in source.streams(query)}
    parts = [_part(each, query) for _source, each in streams.values()]
    if not parts:
        return []
    found = parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    items = []
    for number, moment, document, extras in found:
        source, stream = streams[Stream(number)]
        row = _instance(stream.rows.model, document, extras)
        items.append(Item(moment, stream.stream, row.pk, source, row))
    return items


def _part(stream: StreamRows, query: Query) -> QuerySet[Any]:
    """Return the query of (stream, time, row as JSON, extras), which has the same columns for each stream."""
    table = stream.rows.model._meta.db_table
    extras = JSONObject(**stream.extras) if stream.extras else Value({}, JSONField())
    rows = newest(stream.rows, query, stream.stream, stream.at, stream.parse).annotate(
        stream_number=Value(int(stream.stream), IntegerField()),
        stream_moment=F(stream.at),
        stream_document=RawSQL(f'to_jsonb("{table}") - %s::text[]', [list(stream.without)], JSONField()),  # noqa: S611 - the name of a table
        stream_extras=extras,
    )
    columns: QuerySet[Any] = rows.values_list("stream_number", "stream_moment", "stream_document", "stream_extras")
    return columns


def _instance(model: type[Model], document: Mapping[str, Any], extras: Mapping[str, Any]) -> Any:
    """Return the row that Postgres wrote as JSON. Columns that it lacks are deferred."""
    fields = [(each, str(each.column)) for each in model._meta.concrete_fields if each.column in document]
    row = model.from_db(None, [each.attname for each, _ in fields], [each.to_python(document[column]) for each, column in fields])
    for name, value in extras.items():
        setattr(row, name, value)
    return row


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


def user_columns(relation: str) -> dict[str, Any]:
    """Return the extras of a stream from which `user_of` builds the user of a foreign key."""
    return {f"{relation}_{name}": F(f"{relation}__{name}") for name in _USER_FIELDS}


def user_of(row: Any, relation: str) -> User | None:
    """Return the user of a row's foreign key, which was read with the row."""
    key = getattr(row, f"{relation}_id")
    return None if key is None else User(pk=key, **{name: getattr(row, f"{relation}_{name}") for name in _USER_FIELDS})
