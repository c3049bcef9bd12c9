"""Access follows payment: what a subscription entitles to, whatever its other properties."""

from datetime import timedelta

import pytest

from contextmcp.common.clock import now
from tests.factories.billing import price_of

pytestmark = pytest.mark.django_db


def in_a_year(payer) -> int:
    return int((now(payer.organization) + timedelta(days=300)).timestamp())


def unpaid(payer) -> None:
    """A subscription whose first payment is missing, with a cancellation date."""
    payer.declines()
    payer.buy(cancel_at=in_a_year(payer), payment_behavior="default_incomplete")


class TestAnEndByDateEntitlesToNothing:
    def test_an_incomplete_subscription_with_an_end_date(self, payer):
        unpaid(payer)
        assert payer.state.status == "incomplete" and payer.state.cancel_at
        assert payer.plan == "free"

    def test_an_expired_subscription_with_an_end_date(self, payer):
        unpaid(payer)
        payer.later(2)
        assert payer.state.status == "incomplete_expired" and payer.state.cancel_at
        assert payer.plan == "free"

    def test_a_paused_subscription_with_an_end_date(self, payer):
        payer.no_cards()
        payer.buy(trial_period_days=14, trial_settings={"end_behavior": {"missing_payment_method": "pause"}})
        assert payer.plan == "pro"
        payer.later(14.2)
        payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"cancel_at": in_a_year(payer)})
        payer.world.deliver()
        assert payer.state.status == "paused" and payer.state.cancel_at
        assert payer.plan == "free"


class TestWhatElseIsOnTheSubscription:
    def price(self, payer, **recurring) -> str:
        chosen = {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Onboarding"}}
        return payer.world.sdk.prices.create(chosen | {"recurring": {"interval": "month", **recurring}}).id

    def buy(self, payer, *prices: str) -> None:
        payer.world.sdk.subscriptions.create({"customer": payer.customer, "items": [{"price": each} for each in prices]})
        payer.world.deliver()

    def test_other_items_do_not_select_the_plan(self, payer):
        self.buy(payer, self.price(payer), price_of())
        assert payer.plan == "pro"
        assert payer.state.unit_amount == 900

    def test_other_items_do_not_enable_overage(self, payer, api, owner):
        params = {"display_name": "Hours", "event_name": "hours", "default_aggregation": {"formula": "sum"}}
        meter = payer.world.sdk.billing.meters.create(params)
        self.buy(payer, price_of(), self.price(payer, usage_type="metered", meter=meter.id))
        assert payer.state.overage_item_id == ""
        assert api.put("/api/billing/overage", {"enabled": True, "cap": 2000}, by=owner).status_code == 200
        payer.world.deliver()
        items = payer.world.sdk.subscriptions.retrieve(payer.state.stripe_subscription_id)["items"].data
        assert payer.state.overage_item_id == items[2].id
