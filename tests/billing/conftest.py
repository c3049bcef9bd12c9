"""Stripe, and organizations that pay."""

import pytest

from tests.factories.billing import Payer
from tests.support.stripe import stripe_configured, stripe_server, stripe_world

__all__ = ["stripe_configured", "stripe_server", "stripe_world"]


@pytest.fixture
def payer(stripe_world, acme) -> Payer:
    return Payer.make(stripe_world, acme)
