"""Refused requests. Those of one hour with the same reason, feature, key and tool are one entry, at the last minute that they occurred.

The record has a row for each minute and reason, so a client that repeats refused requests for days would fill many pages.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from django.db.models import DateTimeField, Func, Max, Min, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, Trunc

from accounts.models import ApiKey, OAuthGrant
from contextmcp.common.admin_links import list_url
from contextmcp.web.activity.cursor import AFTER_ALL, Cursor
from contextmcp.web.activity.links import Link, refusal
from contextmcp.web.activity.names import Names, References
from contextmcp.web.activity.sentences.refusals import refused
from contextmcp.web.activity.types import Entry, Kind, Query
from usage.history_query import floor
from usage.models import RefusalSummary

from .base import Batch, Item, Source, Stream

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
# Number of rows that are grouped for one page. The remaining rows of the last hour are read in addition.
MAX_ROWS = 2000
_SEPARATOR = "\x1f"
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class RefusalGroup(NamedTuple):
    """Refusals with the same cause in one hour, with the first and the last minute.

    `limit` is the minute of the first row that the query did not read, except for the rest of its hour. None if it has read everything.
    """

    hour: datetime
    code: str
    feature: str
    key_id: UUID
    tool: str
    first: datetime
    last: datetime
    total: int
    limit: datetime | None

    @property
    def key(self) -> str:
        return _SEPARATOR.join([self.code, self.feature, str(self.key_id), self.tool])


class RefusalSource(Source):
    kinds: ClassVar = frozenset({Kind.REFUSAL})

    def read(self, query: Query) -> Batch:
        rows = _rows(query)
        cursor = query.cursor
        whole = rows
        if cursor is not None:
            rows = rows.filter(**{"minute__lt" if cursor.rank == AFTER_ALL else "minute__lte": cursor.at})
            # The hour of the cursor is grouped as a whole, as it was for the page before.
            is_hour = cursor.rank == AFTER_ALL and cursor.at == floor(cursor.at, "hour")
            whole = whole.filter(minute__lt=cursor.at if is_hour else floor(cursor.at, "hour") + HOUR)
        # The minute of the first row that is too many, if there is one.
        limit = Subquery(rows.order_by("-minute").values("minute")[MAX_ROWS : MAX_ROWS + 1])
        found = _groups(whole.filter(minute__gte=_hour_of(Coalesce(limit, Value(_BEGINNING)))), limit)
        reached = next((floor(group.limit, "hour") for group in found if group.limit), None)
        groups = [group for group in found if cursor is None or _is_after(group, cursor)]
        groups.sort(key=lambda group: (group.last, group.key), reverse=True)
        items = [Item(group.last, Stream.REFUSAL, group.key, self, group) for group in groups[: query.limit + 1]]
        return Batch(items, reached)

    def refer(self, row: RefusalGroup, references: References) -> None:
        references.keys.add(row.key_id)

    def describe(self, item: Item, query: Query, names: Names) -> Entry:
        group: RefusalGroup = item.row
        minutes = f"{group.first:%H:%M}" if group.first == group.last else f"{group.first:%H:%M} to {group.last:%H:%M}"
        if query.for_staff:
            minutes_shown = {"minute__gte": group.first.isoformat(), "minute__lt": (group.last + MINUTE).isoformat()}
            link = Link(list_url("usage.refusalsummary", organization__id__exact=query.organization.pk, **minutes_shown))
        else:
            link = refusal(group.code, group.feature, query)
        return Entry(
            at=item.at,
            kind=Kind.REFUSAL,
            sentence=refused(group.code, group.feature, names.credential(group.key_id), group.tool, group.total),
            link=link.url,
            action=link.action,
            detail=f"{group.code}, {minutes} UTC",
        )


def _rows(query: Query) -> QuerySet[Any]:
    rows = RefusalSummary.objects.filter(organization_id=query.organization.pk)
    if query.since:
        rows = rows.filter(minute__gte=query.since)
    if query.until:
        rows = rows.filter(minute__lt=query.until)
    if query.key is not None:
        rows = rows.filter(key_id=query.key)
    if query.member is not None:
        keys = ApiKey.objects.filter(organization=query.organization, created_by_id=query.member).values("pk")
        apps = OAuthGrant.objects.filter(membership__organization=query.organization, membership__user_id=query.member).values("pk")
        rows = rows.filter(Q(key_id__in=keys) | Q(key_id__in=apps))
    if query.code:
        rows = rows.filter(code__contains=query.code)
    return rows


def _hour_of(minute: Coalesce) -> Func:
    return Func(Value("hour"), minute, Value("UTC"), function="date_trunc", output_field=DateTimeField())


def _groups(rows: QuerySet[Any], limit: Subquery) -> list[RefusalGroup]:
    by_hour = rows.annotate(hour=Trunc("minute", "hour", tzinfo=UTC)).values_list("hour", "code", "feature", "key_id", "tool")
    totals = by_hour.annotate(first_minute=Min("minute"), last_minute=Max("minute"), total=Sum("count"), limit=limit)
    return [RefusalGroup(*row) for row in totals.order_by()]


def _is_after(group: RefusalGroup, cursor: Cursor) -> bool:
    """Return whether the group follows the cursor in the order of the timeline."""
    if group.last != cursor.at:
        return group.last < cursor.at
    return cursor.rank < Stream.REFUSAL or (cursor.rank == Stream.REFUSAL and group.key < cursor.key)


SOURCE = RefusalSource()
