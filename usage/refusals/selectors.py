"""Read the record of refusals."""

from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import Trunc
from msgspec import Struct

from usage.models import RefusalSummary

Length = Literal["minute", "hour", "day"]


class RefusalGroup(Struct, frozen=True):
    """Refusals for one reason in the minute, hour or day (UTC) that starts at `bucket`.

    `feature` and `tool` are empty, and `key_id` is `NO_KEY`, if there was none or if the refusals exceeded the number of rows per minute.
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
    """Return at most `limit` groups of an organization's refusals, newest first, by `length` of their time.

    The range covers the minute that contains `since` and excludes `until`. Empty filters select everything. Times are in real time, also
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
    groups = rows.annotate(bucket=Trunc("minute", length, tzinfo=UTC)).values_list("bucket", *by).annotate(total=Sum("count"))
    return [RefusalGroup(*group) for group in groups.order_by("-bucket", "-total", *by)[:limit]]


def _filters(code: str, feature: str, key_id: UUID | None) -> dict[str, str | UUID]:
    filters = {"code": code, "feature": feature, "key_id": key_id}
    return {name: value for name, value in filters.items() if value}
