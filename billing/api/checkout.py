"""API endpoints for Checkout, the customer portal and the current subscription."""

from functools import partial
from typing import Any

from drf_spectacular.utils import OpenApiExample

from accounts.endpoint import ApiView, Idempotency, endpoint
from accounts.types import Caller
from billing.catalog.named_prices import billing_frequency
from billing.customer_locks import ChangeInProgress
from billing.errors import (
    AlreadySubscribed,
    BillingNotConfigured,
    CurrencyMismatch,
    NoCustomer,
    PaymentRequired,
    PortalNotConfigured,
    PriceNotAvailable,
    PromotionCodeExpired,
    PromotionCodeRefused,
    StripeMissing,
    StripeRejected,
    StripeUnavailable,
    SubscriptionChangeRefused,
    TaxLocationRequired,
    TaxNotConfigured,
    TooManyBillingRequests,
    UnknownPromotionCode,
)
from billing.manager import BillingManager
from entitlements import examples

from .schemas import CheckoutRequestSchema, CheckoutSessionSchema, EmptySchema, PortalSessionSchema, SubscriptionSchema

SUBSCRIPTION_EXAMPLE = OpenApiExample(
    "Subscription in trial",
    {
        "plan": examples.PLAN.name,
        "planVersion": 1,
        "status": "trialing",
        "interval": examples.INTERVAL,
        "amount": examples.AMOUNT,
        "quantity": 1,
        "discountedAmount": examples.AMOUNT,
        "currency": examples.CURRENCY,
        "formattedAmount": examples.formatted(examples.AMOUNT),
        "currentPeriodStart": "2026-06-01T09:00:00Z",
        "currentPeriodEnd": "2026-06-15T09:00:00Z",
        "trialEnd": "2026-06-15T09:00:00Z",
        "trialAvailable": False,
        "cancelAt": None,
        "canceledAt": None,
        "endedAt": None,
        "pastDueSince": None,
        "graceUntil": None,
        "invoiceUrl": None,
        "collectionPause": None,
        "upcomingChange": None,
        "pendingChange": None,
        "discounts": [],
        "paymentMethod": {
            "type": "card",
            "displayName": "Visa ending in 4242",
            "brand": "visa",
            "last4": "4242",
            "expMonth": 12,
            "expYear": 2030,
        },
        "overage": {
            "feature": examples.QUOTA,
            "enabled": False,
            "cap": None,
            "maxPerInvoice": None,
            "unitAmount": 2,
            "currency": examples.CURRENCY,
        },
        "overLimits": [],
    },
    response_only=True,
)


# Errors that every operation with a cost can return.
SPENDING = (
    BillingNotConfigured,
    StripeUnavailable,
    StripeRejected,
    StripeMissing,
    PriceNotAvailable,
    CurrencyMismatch,
    TaxLocationRequired,
    TaxNotConfigured,
    PaymentRequired,
    ChangeInProgress,
    TooManyBillingRequests,
)
# Errors of operations that change an existing subscription.
CHANGING = (*SPENDING, SubscriptionChangeRefused)


def require_stripe() -> None:
    """Raise `BillingNotConfigured` without a Stripe key."""
    if not BillingManager.is_configured():
        raise BillingNotConfigured


# Stripe is called while a request is answered, so no transaction may be open.
PER_ORGANIZATION = Idempotency(lambda actor: actor.organization.pk, atomic=False)
billing_read = partial(endpoint, tag="Billing", scope="billing:read")
# Without a Stripe key, a request is refused before its body is validated.
billing_write = partial(endpoint, tag="Billing", scope="billing:write", permission="billing:manage", check=require_stripe)


class CreateCheckoutSession(ApiView):
    """Start a subscription on a Stripe Checkout page."""

    @billing_write(
        "create_checkout_session",
        body=CheckoutRequestSchema,
        response=CheckoutSessionSchema,
        idempotency=PER_ORGANIZATION,
        refusals=(*SPENDING, AlreadySubscribed, UnknownPromotionCode, PromotionCodeExpired, PromotionCodeRefused),
        examples=[
            OpenApiExample(
                f"{examples.PLAN.title} ({billing_frequency(examples.INTERVAL)})",
                {"planTier": examples.PLAN.name, "interval": examples.INTERVAL},
                request_only=True,
            ),
            OpenApiExample(
                "Checkout session",
                {"sessionId": "cs_test_a1B2c3", "url": "https://checkout.stripe.com/c/pay/cs_test_a1B2c3"},
                response_only=True,
            ),
        ],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Create a Checkout session.

        Returns the URL of a Stripe Checkout page for the plan. Repeating the request for the same plan and interval returns the open
        session. An organization can have one subscription.
        """
        return BillingManager(actor.organization).create_checkout(data["plan_tier"], data["interval"], data["promotion_code"], actor)


class CreatePortalSession(ApiView):
    """Open Stripe's customer portal."""

    @billing_write(
        "create_portal_session",
        body=EmptySchema,
        response=PortalSessionSchema,
        idempotency=PER_ORGANIZATION,
        refusals=(*SPENDING, NoCustomer, PortalNotConfigured),
        examples=[OpenApiExample("Portal session", {"url": "https://billing.stripe.com/p/session/test_a1B2"}, response_only=True)],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Create a customer portal session.

        Returns the URL of the Stripe customer portal, where payment methods and invoices are managed. The URL is valid for a few
        minutes.
        """
        return {"url": BillingManager(actor.organization).create_portal(actor)}


class Subscription(ApiView):
    """The organization's subscription."""

    @billing_read("subscription", response=SubscriptionSchema, examples=[SUBSCRIPTION_EXAMPLE])
    def get(self, actor: Caller) -> Any:
        """Retrieve the subscription.

        Returns plan, status, period, trial, cancellation, upcoming change and amounts. Also available while Stripe is unavailable.
        """
        return BillingManager(actor.organization).subscription()
