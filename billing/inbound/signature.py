"""Verification of webhook signatures (https://docs.stripe.com/webhooks/signature)."""

import stripe
from django.conf import settings

TOLERANCE_SECONDS = 300


def verify_signature(body: str, header: str) -> bool:
    """Return whether one of the configured secrets (two during a rotation) signed this body within the tolerance of 300 seconds."""
    return any(_signed(body, header, secret) for secret in settings.STRIPE_WEBHOOK_SECRETS)


def _signed(body: str, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS))
    except stripe.SignatureVerificationError:
        return False
