"""Stripe and the organizations that the histories are about."""

from tests.support.stripe import stripe_configured, stripe_server, stripe_world

__all__ = ["stripe_configured", "stripe_server", "stripe_world"]
