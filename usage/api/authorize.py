"""The `authorize` and `check` endpoints as served by Django."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request

from entitlements import examples
from entitlements.errors import FeatureNotAvailable, PaymentRequired, PlanInactive
from usage.errors import LimitReached, OverageCapReached, QuotaExceeded, RateLimited

from . import routes
from .base import UsageView
from .schemas import AuthorizedSchema, AuthorizeSchema, AuthorizeSeveralSchema, CheckSchema, DecisionSchema, ReserveSchema

_RESET = "2026-07-01T09:30:00Z"
_GRANTED = {
    "allowed": True,
    "recorded": True,
    "feature": examples.QUOTA,
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
    "detail": "You have used all of your plan's quota for this period.",
    "feature": examples.QUOTA,
    "amount": 1,
    "used": 50,
    "limit": 50,
    "remaining": 0,
    "resetsAt": _RESET,
    "retryAfter": 86400,
    "upgradeUrl": "https://contextmcp.example/pricing/",
    "plan": examples.FREE_PLAN.name,
}


class Authorize(UsageView):
    """Check limits and record usage."""

    route = routes.AUTHORIZE
    refusals = (PlanInactive, PaymentRequired, FeatureNotAvailable, LimitReached, QuotaExceeded, OverageCapReached, RateLimited)

    @extend_schema(
        operation_id="authorize",
        tags=["Usage"],
        summary="Authorize and record usage",
        description=(
            "Checks the key, the plan, rate limits and quotas in one call. Either all listed amounts are recorded, or the request is "
            f"refused with a code and nothing is recorded. {routes.AUTHORIZE.requirement}"
        ),
        request=PolymorphicProxySerializer(
            component_name="AuthorizeOneOrSeveral",
            serializers=[AuthorizeSchema, ReserveSchema, AuthorizeSeveralSchema],
            resource_type_field_name=None,
        ),
        responses=AuthorizedSchema,
        examples=[
            OpenApiExample("One unit", {"feature": examples.QUOTA}, request_only=True),
            OpenApiExample(
                "A quota and a rate limit", {"items": [{"feature": examples.QUOTA}, {"feature": examples.RATE_LIMIT}]}, request_only=True
            ),
            OpenApiExample("A hold", {"feature": examples.QUOTA, "amount": 5, "hold": True}, request_only=True),
            OpenApiExample("Allowed", _GRANTED, response_only=True),
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        """Return 200 if the amounts were recorded, and the status of the refusal otherwise."""
        return self.respond(request)


class Check(UsageView):
    """Check limits without recording anything."""

    route = routes.CHECK

    @extend_schema(
        operation_id="check",
        tags=["Usage"],
        summary="Check an entitlement",
        description=f"Returns what `authorize` would decide and records nothing. {routes.CHECK.requirement}",
        request=CheckSchema,
        responses=DecisionSchema,
        examples=[
            OpenApiExample("One unit", {"feature": examples.QUOTA}, request_only=True),
            OpenApiExample("Refused", _DECISION, response_only=True),
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        """Return 200 with the decision, allowed or not."""
        return self.respond(request)
