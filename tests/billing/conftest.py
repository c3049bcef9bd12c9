"""Fixtures: Stripe, and paying organizations."""

from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import Organization
from tests.factories.accounts import Person
from tests.factories.billing import Payer
from tests.support.stripe import Stripe, published_catalog, stripe_configured, stripe_server, stripe_world

__all__ = ["published_catalog", "stripe_configured", "stripe_server", "stripe_world"]


@pytest.fixture
def payer(stripe_world: Stripe, acme: Organization) -> Payer:
    return Payer.make(stripe_world, acme)


@pytest.fixture
def sign_in_as() -> Callable[[Person], Client]:
    """Return a client in which this person is signed in."""

    def signed_in(person: Person) -> Client:
        client = Client()
        client.force_login(person.user)
        return client

    return signed_in
