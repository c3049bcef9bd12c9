"""Fixtures: Stripe and the organizations of the histories."""

from tests.support.stripe import stripe_configured, stripe_server, stripe_world

__all__ = ["stripe_configured", "stripe_server", "stripe_world"]
