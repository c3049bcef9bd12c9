"""The grants record the access at each time correctly, also in retrospect."""

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


def test_an_ended_grace_period_does_not_restart(payer, acme) -> None:
    """Stripe cancels two weeks after the first failure. That must not look as if access had continued until then."""
    payer.later(31.5)
    until = payer.state.grace_until
    assert acme.grants.get().ends_at == until
    payer.later(10)
    assert (payer.state.status, plan_of(acme)) == ("past_due", "free")
    payer.later(10)
    assert payer.state.status == "canceled"
    assert payer.state.ended_at > until
    assert acme.grants.get().ends_at == until


def test_a_cancellation_in_the_grace_period_ends_access(payer, acme) -> None:
    payer.later(31.5)
    assert payer.state.status == "past_due"
    payer.world.sdk.subscriptions.cancel(payer.state.stripe_subscription_id)
    payer.world.deliver()
    assert acme.grants.get().ends_at == payer.state.ended_at


def test_recovery_after_grace_leaves_a_gap_without_access(payer, acme) -> None:
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
