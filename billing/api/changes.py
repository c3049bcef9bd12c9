"""Changing what was bought."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from billing import types
from billing.manager import BillingManager
from billing.models import Invoice
from contextmcp.common.api import Page
from contextmcp.common.idempotency import once

from .schemas import (
    CancelRequestSchema,
    ChangePlanRequestSchema,
    ChangePreviewSchema,
    ChangeRequestSchema,
    InvoiceSchema,
    NothingSchema,
    OverageOffSchema,
    OverageOnSchema,
    OverageRequestSchema,
    OverageSchema,
    SubscriptionSchema,
)
from .views import SUBSCRIPTION_EXAMPLE, reader, require_stripe, spender, valid

INVOICE_EXAMPLE = OpenApiExample(
    "A month of Pro, paid",
    {
        "id": "in_1MtHbELkdIwHu7ixl4OzzPMv",
        "number": "8F3A2C1D-0002",
        "status": "paid",
        "currency": "usd",
        "subtotal": 900,
        "discount": 0,
        "tax": 0,
        "total": 900,
        "amountDue": 900,
        "amountPaid": 900,
        "amountRemaining": 0,
        "refunded": 0,
        "formattedTotal": "$9.00",
        "createdAt": "2026-06-15T09:00:00Z",
        "dueAt": None,
        "paidAt": "2026-06-15T10:00:00Z",
        "periodStart": "2026-06-15T09:00:00Z",
        "periodEnd": "2026-07-15T09:00:00Z",
        "lines": [
            {
                "description": "ContextMCP Pro (at $9.00 / month)",
                "amount": 900,
                "quantity": 1,
                "periodStart": "2026-06-15T09:00:00Z",
                "periodEnd": "2026-07-15T09:00:00Z",
                "proration": False,
            }
        ],
        "url": "https://invoice.stripe.com/i/acct_1/test_a1B2",
        "pdfUrl": "https://pay.stripe.com/invoice/acct_1/test_a1B2/pdf",
    },
    response_only=True,
)
PREVIEW_EXAMPLE = OpenApiExample(
    "To Enterprise, halfway through a month",
    {
        "plan": "enterprise",
        "interval": "month",
        "when": "now",
        "effectiveAt": "2026-06-16T00:00:00Z",
        "dueNow": 1000,
        "credit": 0,
        "currency": "usd",
        "formattedDueNow": "$10.00",
        "lines": [
            {
                "description": "Unused time on ContextMCP Pro after 16 Jun 2026",
                "amount": -450,
                "quantity": 1,
                "periodStart": "2026-06-16T00:00:00Z",
                "periodEnd": "2026-07-01T00:00:00Z",
                "proration": True,
            },
            {
                "description": "Remaining time on ContextMCP Enterprise after 16 Jun 2026",
                "amount": 1450,
                "quantity": 1,
                "periodStart": "2026-06-16T00:00:00Z",
                "periodEnd": "2026-07-01T00:00:00Z",
                "proration": True,
            },
        ],
        "nextAmount": 2900,
        "nextAt": "2026-07-01T00:00:00Z",
        "prorationDate": "2026-06-16T00:00:00Z",
        "overLimits": [],
    },
    response_only=True,
)
CHANGE_EXAMPLE = OpenApiExample("To Enterprise", {"planTier": "enterprise", "interval": "month"}, request_only=True)


def _answer(subscription: types.Subscription) -> Response:
    return Response(SubscriptionSchema(subscription).data)


class PreviewChange(GenericAPIView[Any]):
    serializer_class = ChangeRequestSchema

    @extend_schema(
        operation_id="preview_change",
        tags=["Billing"],
        request=ChangeRequestSchema,
        responses=ChangePreviewSchema,
        examples=[CHANGE_EXAMPLE, PREVIEW_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """What a change of plan or interval will cost, to the cent, and when it takes effect. It changes nothing."""
        actor = reader(request)
        require_stripe()
        wanted = valid(ChangeRequestSchema, request)
        found = BillingManager(actor.organization).preview_change(wanted["plan_tier"], wanted["interval"])
        return Response(ChangePreviewSchema(found).data)


class ChangePlan(GenericAPIView[Any]):
    idempotent = True
    serializer_class = ChangePlanRequestSchema

    @extend_schema(
        operation_id="change_plan",
        tags=["Billing"],
        request=ChangePlanRequestSchema,
        responses=SubscriptionSchema,
        examples=[CHANGE_EXAMPLE, SUBSCRIPTION_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Upgrade at once, with proration; downgrade when what is paid for is over. A declined payment changes nothing."""
        actor = spender(request)
        wanted = valid(ChangePlanRequestSchema, request)

        def act() -> Response:
            manager = BillingManager(actor.organization)
            return _answer(manager.change_plan(wanted["plan_tier"], wanted["interval"], wanted["proration_date"], actor))

        return once(request, actor.organization.pk, act, atomic=False)


class Cancel(GenericAPIView[Any]):
    idempotent = True
    serializer_class = CancelRequestSchema

    @extend_schema(
        operation_id="cancel_subscription",
        tags=["Billing"],
        request=CancelRequestSchema,
        responses=SubscriptionSchema,
        examples=[OpenApiExample("When it is paid until", {"at": "period_end"}, request_only=True), SUBSCRIPTION_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """End the subscription when what is paid for is over, or now. Nothing is refunded by itself."""
        actor = spender(request)
        wanted = valid(CancelRequestSchema, request)

        def act() -> Response:
            return _answer(BillingManager(actor.organization).cancel(actor, at_once=wanted["at"] == "now"))

        return once(request, actor.organization.pk, act, atomic=False)


class Resume(GenericAPIView[Any]):
    idempotent = True
    serializer_class = NothingSchema

    @extend_schema(
        operation_id="resume_subscription",
        tags=["Billing"],
        request=NothingSchema,
        responses=SubscriptionSchema,
        examples=[SUBSCRIPTION_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Take a pending cancellation back."""
        actor = spender(request)
        valid(NothingSchema, request)
        return once(request, actor.organization.pk, lambda: _answer(BillingManager(actor.organization).resume(actor)), atomic=False)


class UpcomingChange(GenericAPIView[Any]):
    serializer_class = SubscriptionSchema

    @extend_schema(operation_id="keep_plan", tags=["Billing"], responses=SubscriptionSchema, examples=[SUBSCRIPTION_EXAMPLE])
    def delete(self, request: Request) -> Response:
        """Take a planned downgrade back: the plan stays as it is."""
        actor = spender(request)
        return _answer(BillingManager(actor.organization).keep_plan(actor))


class Invoices(GenericAPIView[Invoice]):
    serializer_class = InvoiceSchema
    pagination_class = Page
    queryset = Invoice.objects.none()

    @extend_schema(operation_id="invoices", tags=["Billing"], responses=InvoiceSchema(many=True), examples=[INVOICE_EXAMPLE])
    def get(self, request: Request) -> Response:
        """Invoices, the newest first: totals, lines, status, and where to see, pay and download them."""
        actor = reader(request)
        page = self.paginate_queryset(BillingManager(actor.organization).invoices())
        return self.get_paginated_response(InvoiceSchema(page, many=True).data)


class Overage(GenericAPIView[Any]):
    serializer_class = OverageRequestSchema

    @extend_schema(
        operation_id="set_overage",
        tags=["Billing"],
        request=PolymorphicProxySerializer(
            component_name="OverageOnOrOff", serializers=[OverageOnSchema, OverageOffSchema], resource_type_field_name=None
        ),
        responses=OverageSchema,
        examples=[
            OpenApiExample("Up to $20 a month", {"enabled": True, "cap": 2000}, request_only=True),
            OpenApiExample(
                "On", {"feature": "sessions", "enabled": True, "cap": 2000, "unitAmount": 2, "currency": "usd"}, response_only=True
            ),
        ],
    )
    def put(self, request: Request) -> Response:
        """Go on beyond the allowance at a price per unit, up to a monthly cap; or stop that."""
        actor = spender(request)
        wanted = valid(OverageRequestSchema, request)
        found = BillingManager(actor.organization).set_overage(enabled=wanted["enabled"], cap=wanted["cap"], actor=actor)
        return Response(OverageSchema(found).data)
