"""Is it really from Stripe, and fresh?"""

import stripe
from django.conf import settings

TOLERANCE_SECONDS = 300


def is_genuine(body: str, header: str) -> bool:
    """Whether one of our secrets (two while one rolls) signed this body within the tolerance."""
    return any(_signed(body, header, secret) for secret in settings.STRIPE_WEBHOOK_SECRETS)


def _signed(body: str, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS))
    except stripe.SignatureVerificationError:
        return False
