"""Fixtures: Stripe, and paying organizations."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import Organization
from billing import customers
from tests.factories.accounts import Person
from tests.factories.billing import Payer, price_of
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


@pytest.fixture
def customer(stripe_world: Stripe, acme: Organization) -> str:
    """Return the ID of the organization's Stripe customer, who has a card."""
    result = str(customers.ensure_customer(acme, None).stripe_customer_id)
    stripe_world.card(result)
    return result


@pytest.fixture
def clock(stripe_world: Stripe, customer: str) -> str:
    return stripe_world.attach_test_clock(customer)


@pytest.fixture
def subscribed(stripe_world: Stripe, customer: str, clock: str) -> Callable[..., Any]:
    """`subscribed("pro", "month")` returns a paid subscription on a test clock."""

    def buy(plan: str = "pro", interval: str = "month", **more: Any) -> Any:
        subscription = stripe_world.subscribe(customer, price_of(plan, interval), **more)
        stripe_world.deliver()
        return subscription

    return buy
