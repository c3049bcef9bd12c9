"""Fixtures: Stripe, and paying organizations."""

import pytest
from django.test import Client

from tests.factories.billing import Payer
from tests.support.stripe import stripe_configured, stripe_server, stripe_world

__all__ = ["stripe_configured", "stripe_server", "stripe_world"]


@pytest.fixture
def payer(stripe_world, acme) -> Payer:
    return Payer.make(stripe_world, acme)


@pytest.fixture
def sign_in_as():
    """Return a client in which this person is signed in."""

    def signed_in(person):
        client = Client()
        client.force_login(person.user)
        return client

    return signed_in
