"""System checks: settings of billing that would fail later, said at start-up."""

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from billing.services import policy

_KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9]{24,}")


@register("billing")
def check_stripe_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    key = settings.STRIPE_SECRET_KEY
    found: list[CheckMessage] = []
    if settings.BILLING_REFUND_POLICY not in (policy.KEEP, policy.CANCEL):
        found.append(
            Error(f'BILLING_REFUND_POLICY is "{settings.BILLING_REFUND_POLICY}": it must be "keep" or "cancel".', id="billing.E003")
        )
    if not key:
        return found
    if not _KEY.fullmatch(key):
        found.append(
            Error("STRIPE_SECRET_KEY is malformed: give a key such as sk_test_ and at least 24 letters and digits.", id="billing.E001")
        )
    if (settings.KEY_ENVIRONMENT == "live") != settings.STRIPE_LIVE_MODE:
        found.append(Warning("STRIPE_SECRET_KEY and KEY_ENVIRONMENT disagree: one is live, the other is test.", id="billing.W001"))
    if settings.STRIPE_LIVE_MODE and settings.STRIPE_API_BASE:
        found.append(Error("STRIPE_API_BASE is set while STRIPE_SECRET_KEY is live: a live key goes to Stripe alone.", id="billing.E002"))
    if not settings.STRIPE_WEBHOOK_SECRETS:
        found.append(Warning("STRIPE_WEBHOOK_SECRET is not set: Stripe's events are refused.", id="billing.W002"))
    return found
