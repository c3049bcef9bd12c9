"""Endpoints that report current usage and usage history."""

import csv
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from accounts.authentication import caller
from entitlements import examples
from usage import selectors
from usage.history_query import MAX_ROWS

from . import routes
from .base import UsageView
from .handlers import history_query
from .report_schemas import CurrentSchema, HistorySchema

_CURRENT = {
    "organizationId": "01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10",
    "plan": examples.FREE_PLAN.name,
    "periodStart": "2026-06-01T09:30:00Z",
    "periodEnd": "2026-07-01T09:30:00Z",
    "usage": [
        {
            "feature": examples.QUOTA,
            "kind": "quota",
            "used": 12,
            "held": 0,
            "included": 50,
            "remaining": 38,
            "overage": 0,
            "resetsAt": "2026-07-01T09:30:00Z",
            "windowSeconds": None,
            "credited": 0,
        }
    ],
}
_HISTORY = {
    "interval": "day",
    "groupBy": "meter",
    "since": "2026-06-01T00:00:00Z",
    "until": "2026-06-08T12:00:00Z",
    "data": [
        {
            "start": "2026-06-01T00:00:00Z",
            "feature": examples.QUOTA,
            "amount": 12,
            "events": 12,
            "keyId": None,
            "memberId": None,
            "tool": None,
        }
    ],
    "nextCursor": None,
}


class Current(UsageView):
    """Current usage of all metered features."""

    route = routes.CURRENT_USAGE

    @extend_schema(
        operation_id="current_usage",
        tags=["Usage"],
        summary="Get current usage",
        description=f"Returns the current usage and limit of each quota, gauge and rate limit. {routes.CURRENT_USAGE.requirement}",
        responses=CurrentSchema,
        examples=[OpenApiExample(f"On the {examples.FREE_PLAN.title} plan", _CURRENT, response_only=True)],
    )
    def get(self, request: Request) -> HttpResponse:
        """Return 200 with the usage of each feature."""
        return self.respond(request)


class _Csv(BaseRenderer):
    """Renderer used for content negotiation only. The view streams the rows itself; errors are rendered as JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


class _Line:
    """A file-like object for `csv.writer` whose `write` returns the line instead of storing it."""

    def write(self, line: str) -> str:
        return line


def _lines(rows: Iterator[selectors.Total]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(["start", "feature", "amount", "events", "keyId", "memberId", "tool"])
    for row in rows:
        start = row.start.isoformat().replace("+00:00", "Z")
        yield writer.writerow([start, row.feature, row.amount, row.events, row.key_id or "", row.member_id or "", row.tool or ""])


_MOMENT = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
_PARAMETERS = [
    OpenApiParameter("interval", str, enum=["hour", "day", "month"], description="Length of each row's interval. Defaults to day."),
    OpenApiParameter(
        "groupBy",
        str,
        enum=["meter", "key", "member", "tool"],
        description="Grouping of the totals, in addition to the meter. Defaults to meter.",
    ),
    OpenApiParameter(
        "feature", {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]+$"}, description="Return this meter only."
    ),
    OpenApiParameter("since", _MOMENT, description="ISO 8601 date or time, inclusive. The first row may cover only part of its interval."),
    OpenApiParameter("until", _MOMENT, description="ISO 8601 date or time, exclusive. Defaults to the end of the current interval."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_ROWS}, description="Maximum number of rows per page."),
    OpenApiParameter("cursor", str, description="`nextCursor` of the previous page."),
    OpenApiParameter("format", str, enum=["json", "csv"], description="csv streams all rows without pagination."),
]


class History(UsageView):
    """Totals of past usage."""

    route = routes.USAGE_HISTORY
    renderer_classes = (JSONRenderer, _Csv)

    @extend_schema(
        operation_id="usage_history",
        tags=["Usage"],
        summary="Get usage history",
        description=(
            "Returns totals by hour, day or month, as paginated JSON or (`Accept: text/csv`) CSV. " + routes.USAGE_HISTORY.requirement
        ),
        parameters=_PARAMETERS,
        examples=[OpenApiExample("By day", _HISTORY, response_only=True)],
        responses={(200, "application/json"): HistorySchema, (200, "text/csv"): OpenApiResponse(str, description="The same rows as CSV.")},
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Return 200 with a page of totals as JSON, or with all of them as CSV."""
        if request.accepted_renderer.format != "csv":
            return self.respond(request)
        actor = caller(request)
        actor.require(scope=self.route.scope)
        query = history_query(self.usage_request(request))
        headers = {"Content-Disposition": f'attachment; filename="usage-{query.interval}.csv"'}
        rows = selectors.history(actor.organization, query)
        return StreamingHttpResponse(_lines(rows), content_type="text/csv; charset=utf-8", headers=headers)
