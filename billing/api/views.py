"""Buying and looking at what was bought."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.types import Caller
from billing.errors import BillingNotConfigured
from billing.manager import BillingManager
from contextmcp.common.api import Schema
from contextmcp.common.idempotency import once

from .schemas import CheckoutRequestSchema, CheckoutSessionSchema, NothingSchema, PortalSessionSchema, SubscriptionSchema

SUBSCRIPTION_EXAMPLE = OpenApiExample(
    "On trial",
    {
        "plan": "pro",
        "planVersion": 1,
        "status": "trialing",
        "interval": "month",
        "amount": 900,
        "currency": "usd",
        "formattedAmount": "$9.00",
        "currentPeriodStart": "2026-06-01T09:00:00Z",
        "currentPeriodEnd": "2026-06-15T09:00:00Z",
        "trialEnd": "2026-06-15T09:00:00Z",
        "trialAvailable": False,
        "cancelAt": None,
        "canceledAt": None,
        "endedAt": None,
        "pastDueSince": None,
        "graceUntil": None,
        "upcomingChange": None,
        "discounts": [],
        "paymentMethod": {"brand": "visa", "last4": "4242", "expMonth": 12, "expYear": 2030},
        "overage": {"feature": "sessions", "enabled": False, "cap": None, "unitAmount": 2, "currency": "usd"},
        "overLimits": [],
    },
    response_only=True,
)


def spender(request: Request) -> Caller:
    """Who may spend the organization's money. Without Stripe nobody can, and that is said before what else may be in the way."""
    actor = caller(request)
    actor.require(scope="billing:write", permission="billing:manage")
    require_stripe()
    return actor


def require_stripe() -> None:
    if not BillingManager.is_configured():
        raise BillingNotConfigured


def reader(request: Request) -> Caller:
    actor = caller(request)
    actor.require(scope="billing:read")
    return actor


def valid(schema: type[Schema], request: Request) -> dict[str, Any]:
    body = schema(data=request.data)
    body.is_valid(raise_exception=True)
    wanted: dict[str, Any] = body.validated_data
    return wanted


class CreateCheckoutSession(GenericAPIView[Any]):
    idempotent = True
    serializer_class = CheckoutRequestSchema

    @extend_schema(
        operation_id="create_checkout_session",
        tags=["Billing"],
        request=CheckoutRequestSchema,
        responses=CheckoutSessionSchema,
        examples=[
            OpenApiExample("Pro by the month", {"planTier": "pro", "interval": "month"}, request_only=True),
            OpenApiExample(
                "Where to pay",
                {"sessionId": "cs_test_a1B2c3", "url": "https://checkout.stripe.com/c/pay/cs_test_a1B2c3"},
                response_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Buy a plan: where to pay for it. The same choice leads to the same open session; an organization has one subscription at most."""
        actor = spender(request)
        wanted = valid(CheckoutRequestSchema, request)

        def act() -> Response:
            manager = BillingManager(actor.organization)
            session = manager.create_checkout(wanted["plan_tier"], wanted["interval"], wanted["promotion_code"], actor)
            return Response(CheckoutSessionSchema(session).data)

        return once(request, actor.organization.pk, act, atomic=False)


class CreatePortalSession(GenericAPIView[Any]):
    idempotent = True
    serializer_class = NothingSchema

    @extend_schema(
        operation_id="create_portal_session",
        tags=["Billing"],
        request=NothingSchema,
        responses=PortalSessionSchema,
        examples=[OpenApiExample("Where to manage it", {"url": "https://billing.stripe.com/p/session/test_a1B2"}, response_only=True)],
    )
    def post(self, request: Request) -> Response:
        """Where the payment method is changed and invoices are found: Stripe's portal, for a few minutes."""
        actor = spender(request)
        valid(NothingSchema, request)

        def act() -> Response:
            return Response(PortalSessionSchema({"url": BillingManager(actor.organization).create_portal(actor)}).data)

        return once(request, actor.organization.pk, act, atomic=False)


class Subscription(GenericAPIView[Any]):
    serializer_class = SubscriptionSchema

    @extend_schema(operation_id="subscription", tags=["Billing"], responses=SubscriptionSchema, examples=[SUBSCRIPTION_EXAMPLE])
    def get(self, request: Request) -> Response:
        """Plan, status, period, trial, cancellation, upcoming change and amounts. It answers while Stripe is away, too."""
        actor = reader(request)
        return Response(SubscriptionSchema(BillingManager(actor.organization).subscription()).data)
