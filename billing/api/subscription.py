"""API endpoints that preview and change the subscription, list invoices and configure overage."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer

from accounts.endpoint import ApiListView, ApiView
from accounts.types import Caller
from billing.errors import CancellationPending, NoSubscription, NothingToChange, OverageNotSold, PreviewExpired
from billing.manager import BillingManager
from entitlements import examples

from .checkout import CHANGING, PER_ORGANIZATION, SUBSCRIPTION_EXAMPLE, billing_read, billing_write, require_stripe
from .overage_schemas import OverageOffSchema, OverageOnSchema, OverageRequestSchema, OverageSchema
from .schemas import (
    CancelRequestSchema,
    ChangePlanRequestSchema,
    ChangePreviewSchema,
    ChangeRequestSchema,
    EmptySchema,
    InvoiceSchema,
    SubscriptionSchema,
)

_PRODUCT = f"{settings.PRODUCT_NAME} {examples.PLAN.title}"
_HALF, _HALF_HIGHER = examples.AMOUNT // 2, examples.HIGHER_AMOUNT // 2
INVOICE_EXAMPLE = OpenApiExample(
    f"Paid invoice for one {examples.INTERVAL} of {examples.PLAN.title}",
    {
        "id": "in_1MtHbELkdIwHu7ixl4OzzPMv",
        "number": "8F3A2C1D-0002",
        "status": "paid",
        "currency": examples.CURRENCY,
        "subtotal": examples.AMOUNT,
        "discount": 0,
        "tax": 0,
        "total": examples.AMOUNT,
        "amountDue": examples.AMOUNT,
        "amountPaid": examples.AMOUNT,
        "amountRemaining": 0,
        "amountRefunded": 0,
        "formattedTotal": examples.formatted(examples.AMOUNT),
        "createdAt": "2026-06-15T09:00:00Z",
        "dueAt": None,
        "paidAt": "2026-06-15T10:00:00Z",
        "periodStart": "2026-06-15T09:00:00Z",
        "periodEnd": "2026-07-15T09:00:00Z",
        "lines": [
            {
                "description": f"{_PRODUCT} (at {examples.formatted(examples.AMOUNT)} / {examples.INTERVAL})",
                "amount": examples.AMOUNT,
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
    f"Upgrade to {examples.HIGHER_PLAN.title} in the middle of a period",
    {
        "plan": examples.HIGHER_PLAN.name,
        "interval": examples.INTERVAL,
        "when": "now",
        "effectiveAt": "2026-06-16T00:00:00Z",
        "dueNow": _HALF_HIGHER - _HALF,
        "credit": 0,
        "currency": examples.CURRENCY,
        "formattedDueNow": examples.formatted(_HALF_HIGHER - _HALF),
        "lines": [
            {
                "description": f"Unused time on {_PRODUCT} after 16 Jun 2026",
                "amount": -_HALF,
                "quantity": 1,
                "periodStart": "2026-06-16T00:00:00Z",
                "periodEnd": "2026-07-01T00:00:00Z",
                "proration": True,
            },
            {
                "description": f"Remaining time on {settings.PRODUCT_NAME} {examples.HIGHER_PLAN.title} after 16 Jun 2026",
                "amount": _HALF_HIGHER,
                "quantity": 1,
                "periodStart": "2026-06-16T00:00:00Z",
                "periodEnd": "2026-07-01T00:00:00Z",
                "proration": True,
            },
        ],
        "nextAmount": examples.HIGHER_AMOUNT,
        "nextAt": "2026-07-01T00:00:00Z",
        "prorationDate": "2026-06-16T00:00:00Z",
        "overLimits": [],
    },
    response_only=True,
)
CHANGE_EXAMPLE = OpenApiExample(
    f"Upgrade to {examples.HIGHER_PLAN.title}",
    {"planTier": examples.HIGHER_PLAN.name, "interval": examples.HIGHER_PRICE.interval if examples.HIGHER_PRICE else examples.INTERVAL},
    request_only=True,
)
_CHANGING_SUBSCRIPTION = (*CHANGING, NoSubscription, NothingToChange)


class PreviewChange(ApiView):
    """Calculate the effect of a plan change."""

    @billing_read(
        "preview_change",
        check=require_stripe,
        body=ChangeRequestSchema,
        response=ChangePreviewSchema,
        refusals=(*_CHANGING_SUBSCRIPTION, CancellationPending),
        examples=[CHANGE_EXAMPLE, PREVIEW_EXAMPLE],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Preview a plan change. Returns the exact cost of a change of plan or interval, and when it takes effect. Nothing is changed."""
        return BillingManager(actor.organization).preview_change(data["plan_tier"], data["interval"], actor)


class ChangePlan(ApiView):
    """Change the plan."""

    @billing_write(
        "change_plan",
        body=ChangePlanRequestSchema,
        response=SubscriptionSchema,
        idempotency=PER_ORGANIZATION,
        refusals=(*_CHANGING_SUBSCRIPTION, CancellationPending, PreviewExpired),
        examples=[CHANGE_EXAMPLE, SUBSCRIPTION_EXAMPLE],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Change the plan.

        Upgrades take effect immediately and are prorated. Downgrades take effect at the end of the billing period. If the payment is
        declined, nothing changes.

        If the customer's bank requires confirmation of the payment, the response is 402 with the code `payment_confirmation_required`,
        the `url` of the confirmation page and `expiresAt`. The change is applied once the payment is confirmed, and is discarded after
        `expiresAt`.
        """
        return BillingManager(actor.organization).change_plan(data["plan_tier"], data["interval"], data["proration_date"], actor)


class Cancel(ApiView):
    """Cancel the subscription."""

    @billing_write(
        "cancel_subscription",
        body=CancelRequestSchema,
        response=SubscriptionSchema,
        idempotency=PER_ORGANIZATION,
        refusals=_CHANGING_SUBSCRIPTION,
        examples=[OpenApiExample("At the end of the period", {"at": "period_end"}, request_only=True), SUBSCRIPTION_EXAMPLE],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Cancel the subscription. Cancels at the end of the billing period, or immediately. No refund is created."""
        return BillingManager(actor.organization).cancel(actor, at_once=data["at"] == "now")


class Resume(ApiView):
    """Withdraw a scheduled cancellation."""

    @billing_write(
        "resume_subscription",
        body=EmptySchema,
        response=SubscriptionSchema,
        idempotency=PER_ORGANIZATION,
        refusals=_CHANGING_SUBSCRIPTION,
        examples=[SUBSCRIPTION_EXAMPLE],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Resume the subscription. Reverts a scheduled cancellation, or resumes a paused subscription."""
        return BillingManager(actor.organization).resume(actor)


class UpcomingChange(ApiView):
    """A scheduled plan change, which can be canceled."""

    @billing_write("cancel_scheduled_change", response=SubscriptionSchema, refusals=_CHANGING_SUBSCRIPTION, examples=[SUBSCRIPTION_EXAMPLE])
    def delete(self, actor: Caller) -> Any:
        """Cancel a scheduled plan change. Also cancels a change that waits for payment confirmation. The current plan is kept."""
        return BillingManager(actor.organization).cancel_scheduled_change(actor)


class Invoices(ApiListView):
    """The organization's invoices."""

    @billing_read("invoices", response=InvoiceSchema, many=True, examples=[INVOICE_EXAMPLE])
    def get(self, actor: Caller) -> Any:
        """List invoices.

        Returns invoices in reverse chronological order, with totals, lines, status, and URLs to view, pay and download them.
        """
        return BillingManager(actor.organization).invoices()


class Overage(ApiView):
    """The overage setting."""

    @billing_write(
        "set_overage",
        body=OverageRequestSchema,
        body_description=PolymorphicProxySerializer(
            component_name="OverageOnOrOff", serializers=[OverageOnSchema, OverageOffSchema], resource_type_field_name=None
        ),
        response=OverageSchema,
        refusals=(*CHANGING, NoSubscription, OverageNotSold),
        examples=[
            OpenApiExample(f"Enable with a cap of {examples.formatted(2000)} per month", {"enabled": True, "cap": 2000}, request_only=True),
            OpenApiExample(
                "Overage enabled",
                {
                    "feature": examples.QUOTA,
                    "enabled": True,
                    "cap": 2000,
                    "maxPerInvoice": 2000,
                    "unitAmount": 2,
                    "currency": examples.CURRENCY,
                },
                response_only=True,
            ),
        ],
    )
    def put(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Enable or disable overage.

        Overage is usage beyond the quota at a unit price, up to a monthly cap. The cap applies to each usage month. If usage months and
        invoices start on different days, for example after a change from monthly to yearly billing, one invoice can contain overage of
        two usage months. In that case `maxPerInvoice` is twice the cap.
        """
        return BillingManager(actor.organization).set_overage(enabled=data["enabled"], cap=data["cap"], actor=actor)
