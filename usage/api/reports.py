"""What was used: now, and over time."""

import csv
from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from contextmcp.common.clock import now
from usage import selectors
from usage.spans import MOST_ROWS, Span, span

from .base import UsageView, answer, refuse_parameters
from .schemas import CurrentSchema, HistorySchema

_CURRENT = {
    "organizationId": "01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10",
    "plan": "free",
    "periodStart": "2026-06-01T09:30:00Z",
    "periodEnd": "2026-07-01T09:30:00Z",
    "usage": [
        {
            "feature": "sessions",
            "kind": "quota",
            "used": 12,
            "held": 0,
            "included": 50,
            "remaining": 38,
            "overage": 0,
            "resetsAt": "2026-07-01T09:30:00Z",
            "windowSeconds": None,
        }
    ],
}
_HISTORY = {
    "interval": "day",
    "groupBy": "meter",
    "since": "2026-06-01T00:00:00Z",
    "until": "2026-06-08T12:00:00Z",
    "data": [{"start": "2026-06-01T00:00:00Z", "feature": "sessions", "amount": 12, "events": 12, "keyId": None, "memberId": None}],
    "nextCursor": None,
}


class Current(UsageView):
    @extend_schema(
        operation_id="current_usage",
        tags=["Usage"],
        summary="How much is left",
        description="Each meter, level and limit as it stands. Needs the scope `usage:read`.",
        responses=CurrentSchema,
        examples=[OpenApiExample("On Free", _CURRENT, response_only=True)],
    )
    def get(self, request: Request) -> HttpResponse:
        tracker = self.admit(request, "usage:read")
        refuse_parameters(request)
        return answer(tracker.current())


class _Csv(BaseRenderer):
    """Only its name and type are asked for; the rows are streamed."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


class _Line:
    """What csv writes to: it hands the line back."""

    def write(self, line: str) -> str:
        return line


def _lines(rows: Iterator[selectors.Total]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(["start", "feature", "amount", "events", "keyId", "memberId"])
    for row in rows:
        start = row.start.isoformat().replace("+00:00", "Z")
        yield writer.writerow([start, row.feature, row.amount, row.events, row.key_id or "", row.member_id or ""])


_MOMENT = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
_PARAMETERS = [
    OpenApiParameter("interval", str, enum=["hour", "day", "month"], description="day unless said."),
    OpenApiParameter("groupBy", str, enum=["meter", "key", "member"], description="meter unless said; each is told by meter too."),
    OpenApiParameter("feature", {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]+$"}, description="Only this one."),
    OpenApiParameter("since", _MOMENT, description="ISO 8601 date or time; included. The first row may cover only a part of its interval."),
    OpenApiParameter("until", _MOMENT, description="ISO 8601 date or time; not included. By default, the end of the running interval."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MOST_ROWS}, description="How many rows a page holds."),
    OpenApiParameter("cursor", str, description="`nextCursor` of the page before."),
    OpenApiParameter("format", str, enum=["json", "csv"], description="csv streams everything, without pages."),
]


class History(UsageView):
    renderer_classes = (JSONRenderer, _Csv)

    @extend_schema(
        operation_id="usage_history",
        tags=["Usage"],
        summary="What was used over time",
        description="Totals by hour, day or month, as JSON in pages or (`Accept: text/csv`) streamed as CSV. Needs the scope `usage:read`.",
        parameters=_PARAMETERS,
        examples=[OpenApiExample("By day", _HISTORY, response_only=True)],
        responses={(200, "application/json"): HistorySchema, (200, "text/csv"): OpenApiResponse(str, description="The same, as CSV.")},
    )
    def get(self, request: Request) -> HttpResponseBase:
        tracker = self.admit(request, "usage:read")
        refuse_parameters(request, "interval", "groupBy", "feature", "since", "until", "limit", "cursor", "format")
        wanted = span(request.query_params, now(tracker.organization))
        if request.accepted_renderer.format == "csv":
            rows = selectors.history(tracker.organization, wanted)
            headers = {"Content-Disposition": f'attachment; filename="usage-{wanted.interval}.csv"'}
            return StreamingHttpResponse(_lines(rows), content_type="text/csv; charset=utf-8", headers=headers)
        return answer(_page(tracker.organization, wanted))


def _page(organization: Any, wanted: Span) -> dict[str, Any]:
    rows = list(selectors.history(organization, wanted, limit=wanted.limit + 1))
    more = len(rows) > wanted.limit
    rows = rows[: wanted.limit]
    return {
        "interval": wanted.interval,
        "groupBy": wanted.group,
        "since": wanted.since,
        "until": wanted.until,
        "data": rows,
        "nextCursor": wanted.cursor_after(rows[-1]) if more else None,
    }
