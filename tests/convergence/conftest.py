"""Fixtures: Stripe and the organizations of the histories."""

from tests.support.stripe import published_catalog, stripe_configured, stripe_server, stripe_world

__all__ = ["published_catalog", "stripe_configured", "stripe_server", "stripe_world"]
