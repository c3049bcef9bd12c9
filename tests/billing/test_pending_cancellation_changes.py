"""Changes of a subscription with a cancellation, a scheduled downgrade, or an event that has not arrived."""

import pytest

from billing.errors import StripeUnavailable
from billing.models import Invoice
from billing.stripe.gateway import subscriptions
from billing.sync.customer import sync_customer
from tests.support.api import problem

pytestmark = pytest.mark.django_db
CHANGE, CANCEL, SUBSCRIPTION = "/api/billing/change-plan", "/api/billing/cancel", "/api/billing/subscription"
PRO, YEARLY = {"planTier": "pro"}, {"planTier": "enterprise", "interval": "year"}


@pytest.mark.parametrize("path", ["/api/billing/preview-change", CHANGE])
def test_a_canceled_subscription_cannot_be_upgraded(payer, api, owner, path):
    payer.buy()
    api.post(CANCEL, {}, by=owner)
    bills = Invoice.objects.count()
    assert problem(api.post(path, YEARLY, by=owner)) == (409, "cancellation_pending")
    payer.world.deliver()
    assert (Invoice.objects.count(), payer.state.plan) == (bills, "pro")


def test_a_change_of_interval_is_refused_with_an_end_date(payer, api, owner):
    subscription = payer.buy()
    payer.world.sdk.subscriptions.update(subscription.id, {"cancel_at": subscription.created + 40 * 86_400})
    assert problem(api.post(CHANGE, {"planTier": "pro", "interval": "year"}, by=owner)) == (409, "cancellation_pending")


def test_canceling_releases_an_unsynchronized_schedule(payer, api, owner):
    payer.buy("enterprise")
    api.post(CHANGE, PRO, by=owner)
    payer.world.sdk.subscription_schedules.release(payer.state.schedule_id)
    assert api.post(CANCEL, {}, by=owner).json()["upcomingChange"]["kind"] == "cancellation"


def test_canceling_after_an_unsynchronized_downgrade(payer, api, owner):
    payer.buy("enterprise")
    api.post(CHANGE, PRO, by=owner)
    payer.world.deliver()
    payer.world.advance(payer.clock, days=40)
    payer.world.advance(payer.clock, days=30)
    assert api.post(CANCEL, {}, by=owner).json()["plan"] == "pro"


def test_a_cancellation_in_the_dashboard_is_synced_first(payer, api, owner):
    subscription = payer.buy()
    payer.world.sdk.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert problem(api.post(CANCEL, {}, by=owner)) == (409, "nothing_to_change")
    sync_customer(payer.customer)
    assert payer.state.cancel_at


@pytest.fixture
def downgrading(payer, api, owner):
    """Enterprise until the period ends, then Pro, with a card that is declined."""
    payer.buy("enterprise")
    api.post(CHANGE, PRO, by=owner)
    payer.declines()
    return payer


def test_a_declined_upgrade_keeps_the_scheduled_downgrade(downgrading, api, owner):
    scheduled = api.get(SUBSCRIPTION, by=owner).json()["upcomingChange"]
    for _ in range(2):
        assert problem(api.post(CHANGE, YEARLY, by=owner)) == (402, "payment_required")
        assert api.get(SUBSCRIPTION, by=owner).json()["upcomingChange"] == scheduled
    downgrading.world.card(downgrading.customer)
    downgrading.later(31.2)
    assert (downgrading.state.plan, Invoice.objects.order_by("-created_at", "-id").first().total) == ("pro", 900)
    downgrading.later(31.2)
    assert (downgrading.state.plan, downgrading.state.schedule_id) == ("pro", "")


def test_a_declined_upgrade_keeps_the_schedules_discount(payer, api, owner):
    coupon = payer.world.sdk.coupons.create({"percent_off": 50, "duration": "forever"})
    payer.buy("enterprise", discounts=[{"coupon": coupon.id}])
    api.post(CHANGE, PRO, by=owner)
    payer.declines()
    assert problem(api.post(CHANGE, YEARLY, by=owner)) == (402, "payment_required")
    payer.world.card(payer.customer)
    payer.later(31.2)
    assert (payer.state.plan, Invoice.objects.order_by("-created_at", "-id").first().total) == ("pro", 450)


def test_the_downgrade_is_kept_after_a_lost_response(downgrading, api, owner, monkeypatch):
    scheduled = api.get(SUBSCRIPTION, by=owner).json()["upcomingChange"]
    with monkeypatch.context() as patch:
        patch.setattr(subscriptions, "update", unavailable)
        assert api.post(CHANGE, YEARLY, by=owner).status_code == 503
    assert problem(api.post(CHANGE, YEARLY, by=owner)) == (402, "payment_required")
    assert api.get(SUBSCRIPTION, by=owner).json()["upcomingChange"] == scheduled


def test_lost_scheduled_change_is_reported(downgrading, api, owner, monkeypatch):
    monkeypatch.setattr(subscriptions, "update_schedule", unavailable)
    response = api.post(CHANGE, YEARLY, by=owner)
    assert problem(response) == (402, "payment_required")
    assert "Schedule it again" in response.json()["detail"]
    assert response.json()["reason"]
    assert api.get(SUBSCRIPTION, by=owner).json()["upcomingChange"] is None


def unavailable(*args, **params):
    raise StripeUnavailable
