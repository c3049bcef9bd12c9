"""Read the record of refusals."""

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.db.models.functions import Trunc
from msgspec import Struct

from usage.history_query import floor
from usage.models import RefusalSummary

Length = Literal["minute", "hour", "day"]
_LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


class RefusalGroup(Struct, frozen=True):
    """Refusals for one reason in the minute, hour or day (UTC) that starts at `bucket`.

    `feature` and `tool` are empty, and `key_id` is `NO_KEY`, if the refusal had none or if refusals exceeded the number of rows per minute.
    """

    bucket: datetime
    code: str
    feature: str
    key_id: UUID
    tool: str
    count: int


def refusals_of(
    organization_id: UUID,
    since: datetime,
    until: datetime,
    *,
    code: str = "",
    feature: str = "",
    key_id: UUID | None = None,
    length: Length = "minute",
    limit: int = 100,
) -> list[RefusalGroup]:
    """Return at most `limit` groups of an organization's refusals in each minute, hour or day (`length`), newest first.

    The range covers the minute that contains `since` and excludes `until`. Empty filters select everything. All times are real times, even
    for organizations with a test clock.
    """
    rows = RefusalSummary.objects.filter(
        organization_id=organization_id, minute__gt=since - timedelta(minutes=1), minute__lt=until, **_filters(code, feature, key_id)
    )
    by = ("code", "feature", "key_id", "tool")
    if length == "minute":
        # Without a sum, Postgres reads only as many rows of the index as are returned.
        minutes = rows.order_by("-minute", "-count", *by).values_list("minute", *by, "count")
        return [RefusalGroup(*row) for row in minutes[:limit]]
    return _sums(rows, by, length, until, limit)


def _sums(
    rows: QuerySet[RefusalSummary], by: tuple[str, ...], length: Literal["hour", "day"], until: datetime, limit: int
) -> list[RefusalGroup]:
    groups: list[RefusalGroup] = []
    end, buckets = until, 1
    # A sum of the whole range would read all of the organization's rows to return one page. Instead, the newest bucket with rows is summed
    # first, then twice as many buckets each time, until there are enough groups.
    while len(groups) < limit and (newest := rows.filter(minute__lt=end).order_by("-minute").values_list("minute", flat=True).first()):
        start = floor(newest, length) - (buckets - 1) * _LENGTHS[length]
        sums = rows.filter(minute__gte=start, minute__lt=end).annotate(bucket=Trunc("minute", length, tzinfo=UTC))
        totals = sums.values_list("bucket", *by).annotate(total=Sum("count")).order_by("-bucket", "-total", *by)
        groups += [RefusalGroup(*group) for group in totals[: limit - len(groups)]]
        end, buckets = start, buckets * 2
    return groups


def _filters(code: str, feature: str, key_id: UUID | None) -> dict[str, str | UUID]:
    filters = {"code": code, "feature": feature, "key_id": key_id}
    return {name: value for name, value in filters.items() if value}
