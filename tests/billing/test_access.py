"""Access follows payment: what a subscription entitles to, whatever else stands on it."""

from datetime import timedelta

import pytest

from contextmcp.common.clock import now

pytestmark = pytest.mark.django_db


def in_a_year(payer) -> int:
    return int((now(payer.organization) + timedelta(days=300)).timestamp())


def unpaid(payer) -> None:
    """A subscription whose first payment is missing, with an end by date."""
    payer.declines()
    payer.buy(cancel_at=in_a_year(payer), payment_behavior="default_incomplete")


class TestAnEndByDateEntitlesToNothing:
    def test_before_the_first_payment(self, payer):
        unpaid(payer)
        assert payer.state.status == "incomplete" and payer.state.cancel_at
        assert payer.plan == "free"

    def test_when_the_first_payment_never_came(self, payer):
        unpaid(payer)
        payer.later(2)
        assert payer.state.status == "incomplete_expired" and payer.state.cancel_at
        assert payer.plan == "free"

    def test_while_it_is_paused(self, payer):
        payer.no_cards()
        payer.buy(trial_period_days=14, trial_settings={"end_behavior": {"missing_payment_method": "pause"}})
        assert payer.plan == "pro"
        payer.later(14.2)
        payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"cancel_at": in_a_year(payer)})
        payer.world.deliver()
        assert payer.state.status == "paused" and payer.state.cancel_at
        assert payer.plan == "free"
