"""Fixtures: clients that behave like browsers, and Stripe's simulator."""

from tests.support.stripe import published_catalog, stripe_configured, stripe_server, stripe_world
from tests.web.conftest import people, sign_in

__all__ = ["people", "published_catalog", "sign_in", "stripe_configured", "stripe_server", "stripe_world"]
