"""Endpoints that settle and release holds and that set and decrease gauges."""

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request

from entitlements import examples
from entitlements.errors import FeatureNotAvailable, PaymentRequired, PlanInactive
from usage.errors import HoldAlreadyEnded, ReleaseExceedsUsage

from . import routes
from .base import UsageView
from .schemas import (
    AuthorizedItemSchema,
    AuthorizedSchema,
    CustomerSchema,
    GaugeDecreaseSchema,
    GaugeSchema,
    SettledSchema,
    SettleSchema,
    gauge_names,
)

_SETTLED = {"id": "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa", "feature": examples.QUOTA, "state": "settled", "held": 5, "settled": 3}
_GAUGE = {"feature": examples.GAUGE, "kind": "gauge", "amount": 3, "used": 3, "limit": 10, "remaining": 7, "overage": 0, "resetsAt": None}


class SettleHold(UsageView):
    """Record the actual amount of a hold."""

    route = routes.SETTLE_HOLD
    refusals = (HoldAlreadyEnded,)

    @extend_schema(
        operation_id="settle_hold",
        tags=["Usage"],
        summary="Settle a hold",
        description=(
            f"Records the actual amount, even if it is more than was held or the hold has expired. {routes.SETTLE_HOLD.requirement}"
        ),
        request=SettleSchema,
        responses=SettledSchema,
        examples=[
            OpenApiExample("Less than held", {"amount": 3}, request_only=True),
            OpenApiExample("Settled", _SETTLED, response_only=True),
        ],
    )
    def post(self, request: Request, hold_id: UUID) -> HttpResponse:
        """Return 200 with the settled hold."""
        return self.respond(request, hold_id)


class ReleaseHold(UsageView):
    """End a hold without recording anything."""

    route = routes.RELEASE_HOLD
    refusals = (HoldAlreadyEnded,)

    @extend_schema(
        operation_id="release_hold",
        tags=["Usage"],
        summary="Release a hold",
        description=f"Ends the hold without recording usage. {routes.RELEASE_HOLD.requirement}",
        request=CustomerSchema,
        responses=SettledSchema,
        examples=[
            OpenApiExample("Customer named in a header", {}, request_only=True),
            OpenApiExample("Released", {**_SETTLED, "state": "released", "settled": 0}, response_only=True),
        ],
    )
    def post(self, request: Request, hold_id: UUID) -> HttpResponse:
        """Return 200 with the released hold."""
        return self.respond(request, hold_id)


_NOT_IN_PLAN = (PlanInactive, PaymentRequired, FeatureNotAvailable)
_FEATURE = OpenApiParameter("feature", gauge_names(), OpenApiParameter.PATH, description="Name of a gauge.")


class SetGauge(UsageView):
    """Set a gauge."""

    route = routes.SET_GAUGE
    refusals = _NOT_IN_PLAN

    @extend_schema(
        operation_id="set_gauge",
        parameters=[_FEATURE],
        tags=["Usage"],
        summary="Set a gauge",
        description=f"Sets the amount in use, even above the limit. {routes.SET_GAUGE.requirement}",
        request=GaugeSchema,
        responses=AuthorizedItemSchema,
        examples=[OpenApiExample("Three in use", {"value": 3}, request_only=True), OpenApiExample("Set", _GAUGE, response_only=True)],
    )
    def put(self, request: Request, feature: str) -> HttpResponse:
        """Return 200 with the new state of the gauge."""
        return self.respond(request, feature)


class DecreaseGauge(UsageView):
    """Decrease a gauge."""

    route = routes.DECREASE_GAUGE
    refusals = (*_NOT_IN_PLAN, ReleaseExceedsUsage)

    @extend_schema(
        operation_id="decrease_gauge",
        parameters=[_FEATURE],
        tags=["Usage"],
        summary="Decrease a gauge",
        description=f"Refused with `release_exceeds_usage` if less is in use. {routes.DECREASE_GAUGE.requirement}",
        request=GaugeDecreaseSchema,
        responses=AuthorizedSchema,
        examples=[
            OpenApiExample("One less", {"amount": 1}, request_only=True),
            OpenApiExample("Decreased", {"allowed": True, "recorded": True, **_GAUGE}, response_only=True),
        ],
    )
    def post(self, request: Request, feature: str) -> HttpResponse:
        """Return 200 with the new state of the gauge."""
        return self.respond(request, feature)
