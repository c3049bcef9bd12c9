"""The endpoint that records usage events."""

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request

from entitlements import examples

from . import routes
from .base import UsageView
from .event_schemas import CLOUD_EVENT, CLOUD_EVENTS, EventsResultSchema, EventsSchema, SingleEventSchema

_JSON_BODY = PolymorphicProxySerializer(
    component_name="EventOrEvents", serializers=[SingleEventSchema, EventsSchema], resource_type_field_name=None
)


class Events(UsageView):
    """Record events of usage."""

    route = routes.EVENTS

    @extend_schema(
        operation_id="record_events",
        tags=["Usage"],
        summary="Record usage events",
        description=(
            "Accepts one event, an array or `{events: [...]}` of up to 1,000 events, or CloudEvents 1.0 (structured or batch; `type` is "
            "the feature). Each event has its own result and is counted once per idempotency key. Limits do not apply, because the usage "
            "has already happened. An event counts in the period of its `occurredAt`, up to 35 days back. A correction (a negative amount "
            "with a reason) subtracts at most the units counted in its period; with `credit` it increases the allowance of that period "
            f"instead. {routes.EVENTS.requirement}"
        ),
        request=dict(zip(routes.EVENTS.media_types, (_JSON_BODY, CLOUD_EVENT, CLOUD_EVENTS), strict=True)),
        responses=EventsResultSchema,
        examples=[
            OpenApiExample(
                "One event", {"feature": examples.QUOTA, "idempotencyKey": "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa"}, request_only=True
            ),
            OpenApiExample(
                "Several events", {"events": [{"feature": examples.QUOTA, "amount": 2, "idempotencyKey": "run-17"}]}, request_only=True
            ),
            OpenApiExample(
                "A correction",
                {"feature": examples.QUOTA, "amount": -1, "reason": "the work was not done", "idempotencyKey": "fix-17"},
                request_only=True,
            ),
            OpenApiExample(
                "A credit",
                {
                    "feature": examples.QUOTA,
                    "amount": -20,
                    "credit": True,
                    "reason": "compensation for an outage",
                    "idempotencyKey": "outage-17",
                },
                request_only=True,
            ),
            OpenApiExample(
                "Recorded", {"accepted": 1, "duplicates": 0, "refused": 0, "results": [{"status": "accepted"}]}, response_only=True
            ),
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        """Return 200 with a result for each event."""
        return self.respond(request)
