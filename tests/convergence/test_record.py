"""What is on record of former times is what was true then, whenever it is looked at."""

from datetime import timedelta

import pytest

from tests.factories.billing import Payer, plan_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def payer(stripe_world, acme) -> Payer:
    payer = Payer.make(stripe_world, acme)
    payer.buy()
    payer.declines()
    return payer


def test_the_grace_period_ends_once_and_for_all(payer, acme) -> None:
    """Stripe gives up two weeks after the first failure, and cancels: that must not look as if access had gone on until then."""
    payer.later(31.5)
    until = payer.state.grace_until
    assert acme.grants.get().ends_at == until
    payer.later(10)
    assert (payer.state.status, plan_of(acme)) == ("past_due", "free")
    payer.later(10)
    assert payer.state.status == "canceled"
    assert payer.state.ended_at > until
    assert acme.grants.get().ends_at == until


def test_a_cancellation_within_the_grace_period_ends_it_then(payer, acme) -> None:
    payer.later(31.5)
    assert payer.state.status == "past_due"
    payer.world.sdk.subscriptions.cancel(payer.state.stripe_subscription_id)
    payer.world.deliver()
    assert acme.grants.get().ends_at == payer.state.ended_at


def test_who_recovers_after_the_grace_period_had_nothing_in_between(payer, acme) -> None:
    payer.later(31.5)
    payer.later(9)
    assert plan_of(acme) == "free"
    until = acme.grants.get().ends_at
    payer.world.card(payer.customer)
    payer.world.sdk.invoices.pay(acme.invoices.get(status="open").stripe_invoice_id)
    payer.world.deliver()
    assert plan_of(acme) == "pro"
    former, present = acme.grants.order_by("starts_at")
    assert former.ends_at == until
    assert present.starts_at - until > timedelta(days=1)
