"""The gate, as Django serves it: authorize and check."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request

from contextmcp.common.clock import now
from contextmcp.common.errors import DomainError, ValidationFailed
from usage import encoding, requests
from usage.gate import verdict

from .base import UsageView, answer, key_of, raw
from .schemas import AuthorizeSchema, AuthorizeSeveralSchema, DecisionSchema, GrantedSchema, ItemSchema, ReserveSchema

_RESET = "2026-07-01T09:30:00Z"
_GRANTED = {
    "allowed": True,
    "recorded": True,
    "feature": "sessions",
    "kind": "quota",
    "amount": 1,
    "used": 12,
    "limit": 50,
    "remaining": 38,
    "overage": 0,
    "resetsAt": _RESET,
}
_DECISION: dict[str, Any] = {
    "allowed": False,
    "code": "quota_exceeded",
    "detail": "You have used everything your plan includes this period.",
    "feature": "sessions",
    "amount": 1,
    "used": 50,
    "limit": 50,
    "remaining": 0,
    "resetsAt": _RESET,
    "retryAfter": 86400,
    "upgradeUrl": "https://contextmcp.example/pricing/",
    "plan": "free",
}


class Authorize(UsageView):
    idempotent = True

    @extend_schema(
        operation_id="authorize",
        tags=["Usage"],
        summary="May they, and count it",
        description=(
            "Key, plan, rate and quota in one call. Counts what it names, all of it, or refuses with one code per reason and counts "
            "nothing. Needs the scope `usage:write`."
        ),
        request=PolymorphicProxySerializer(
            component_name="AuthorizeOneOrSeveral",
            serializers=[AuthorizeSchema, ReserveSchema, AuthorizeSeveralSchema],
            resource_type_field_name=None,
        ),
        responses=GrantedSchema,
        examples=[
            OpenApiExample("One session", {"feature": "sessions"}, request_only=True),
            OpenApiExample(
                "A session and its rate", {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}, request_only=True
            ),
            OpenApiExample("An estimate", {"feature": "sessions", "amount": 5, "hold": True}, request_only=True),
            OpenApiExample("Granted", _GRANTED, response_only=True),
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        tracker = self.admit(request, "usage:write")
        wanted, key = requests.authorize(raw(request)), key_of(request)
        granted = tracker.authorize(wanted, key)
        if granted.answer is None:
            return answer(granted.body, {"Idempotent-Replayed": "true"})
        return answer(granted.body, encoding.rate_headers(granted.answer, now(tracker.organization)))


class Check(UsageView):
    @extend_schema(
        operation_id="check",
        tags=["Usage"],
        summary="Would they be allowed",
        description="What `authorize` would decide. Counts nothing. Needs the scope `entitlements:read`.",
        request=ItemSchema,
        responses=DecisionSchema,
        examples=[
            OpenApiExample("Is there a session left", {"feature": "sessions"}, request_only=True),
            OpenApiExample("No", _DECISION, response_only=True),
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        tracker = self.admit(request, "entitlements:read")
        item = requests.check(raw(request))
        try:
            decision: Any = tracker.check(item)
        except ValidationFailed:
            raise
        except DomainError as refusal:
            decision = refusal
        return answer(verdict(item.feature, item.amount, decision, tracker.entitlements.plan))
