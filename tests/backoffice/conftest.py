"""Fixtures: clients that behave like browsers, and Stripe's simulator."""

from tests.support.stripe import stripe_configured, stripe_server, stripe_world
from tests.web.conftest import people, sign_in

__all__ = ["people", "sign_in", "stripe_configured", "stripe_server", "stripe_world"]
