"""System checks that report invalid billing settings at startup."""

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from billing.catalog import named_prices
from billing.documents import refund_policy
from billing.errors import BillingNotConfigured, StripeUnavailable

_KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9]{24,}")


@register("billing")
def check_stripe_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    key = settings.STRIPE_SECRET_KEY
    messages: list[CheckMessage] = []
    if settings.BILLING_REFUND_POLICY not in (refund_policy.KEEP, refund_policy.CANCEL):
        messages.append(
            Error(f'BILLING_REFUND_POLICY is "{settings.BILLING_REFUND_POLICY}": it must be "keep" or "cancel".', id="billing.E003")
        )
    messages += [Error(sentence, id="billing.E005") for sentence in named_prices.unknown_variables()]
    if not key:
        return messages
    if not _KEY.fullmatch(key):
        messages.append(
            Error(
                "STRIPE_SECRET_KEY is malformed. Expected sk_test_, sk_live_, rk_test_ or rk_live_ and at least 24 letters or digits.",
                id="billing.E001",
            )
        )
    if (settings.KEY_ENVIRONMENT == "live") != settings.STRIPE_LIVE_MODE:
        messages.append(
            Warning("STRIPE_SECRET_KEY and KEY_ENVIRONMENT do not match: one is live and the other is test.", id="billing.W001")
        )
    if settings.STRIPE_LIVE_MODE and settings.STRIPE_API_BASE:
        messages.append(
            Error(
                "STRIPE_API_BASE is set while STRIPE_SECRET_KEY is a live key. Unset it: a live key must only be sent to Stripe.",
                id="billing.E002",
            )
        )
    if not settings.STRIPE_WEBHOOK_SECRETS:
        messages.append(Warning("STRIPE_WEBHOOK_SECRET is not set. Webhook events from Stripe are rejected.", id="billing.W002"))
    return messages


@register("billing")
def check_named_prices(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Compare the configured price IDs with the catalog. If Stripe is unavailable, only a warning is reported."""
    if not settings.STRIPE_SECRET_KEY or not any(settings.STRIPE_PRICE_IDS.values()):
        return []
    try:
        return [Error(sentence, id="billing.E004") for sentence in named_prices.problems()]
    except (StripeUnavailable, BillingNotConfigured) as error:
        return [Warning(f"The configured price IDs could not be checked with Stripe: {error.text}", id="billing.W003")]
