"""What happened, reported."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request

from usage import ingest, results

from .base import UsageView, answer, key_of, raw
from .schemas import EventSchema, EventsResultSchema, EventsSchema


class Events(UsageView):
    idempotent = True

    @extend_schema(
        operation_id="record_events",
        tags=["Usage"],
        summary="Report what happened",
        description=(
            "One event, an array or `{events: [...]}` of up to 1,000, or CloudEvents 1.0 (structured or batch; `type` is the feature). "
            "Each is checked and answered for itself and counted once per idempotency key. It happened already, so no limit refuses "
            "it; it lands in the period it happened in, up to 35 days back. Needs a service key with the scope `usage:write`."
        ),
        request=PolymorphicProxySerializer(
            component_name="EventOrEvents",
            serializers=[EventSchema, EventsSchema],
            resource_type_field_name=None,
        ),
        responses=EventsResultSchema,
        examples=[
            OpenApiExample("One", {"feature": "sessions", "idempotencyKey": "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa"}, request_only=True),
            OpenApiExample("Several", {"events": [{"feature": "sessions", "amount": 2, "idempotencyKey": "run-17"}]}, request_only=True),
            OpenApiExample(
                "A correction",
                {"feature": "sessions", "amount": -1, "reason": "counted for a failed start", "idempotencyKey": "fix-17"},
                request_only=True,
            ),
            OpenApiExample(
                "Counted", {"accepted": 1, "duplicates": 0, "refused": 0, "results": [{"status": "accepted"}]}, response_only=True
            ),
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        tracker = self.admit_service(request)
        body = raw(request, *ingest.CONTENT_TYPES)
        bodies, single = ingest.parse(body, request.headers.get("Content-Type", ""), key_of(request))
        verdicts: Any = tracker.record_events(bodies)
        return answer(results.told(verdicts, single=single))
