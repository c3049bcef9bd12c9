"""Changes of a subscription with a scheduled downgrade also hold after the downgrade."""

from datetime import datetime, timedelta

import pytest
from django.core import mail

from billing.models import Invoice
from billing.notifications import deliver as sender
from contextmcp.common.clock import now
from tests.factories.billing import price_of
from tests.support.api import problem
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db
CHANGE, SUBSCRIPTION, OVERAGE = "/api/billing/change-plan", "/api/billing/subscription", "/api/billing/overage"
PRO = {"planTier": "pro", "interval": "month"}


def newest() -> Invoice:
    row = Invoice.objects.order_by("-created_at", "-id").first()
    assert row is not None
    return row


@pytest.fixture
def scheduled(payer, api, owner):
    """Enterprise until the period ends, then Pro."""
    payer.buy("enterprise")
    assert api.post(CHANGE, PRO, by=owner).status_code == 200
    payer.world.deliver()
    return payer


def schedule_of(payer):
    return payer.world.sdk.subscription_schedules.retrieve(payer.state.schedule_id)


def test_a_later_coupon_is_copied_to_the_schedule(scheduled):
    coupon = scheduled.world.sdk.coupons.create({"percent_off": 50, "duration": "forever"})
    scheduled.world.sdk.subscriptions.update(scheduled.state.stripe_subscription_id, {"discounts": [{"coupon": coupon.id}]})
    scheduled.world.deliver()
    scheduled.later(31.2)
    assert (scheduled.state.plan, newest().total) == ("pro", 450)


def test_a_later_promotion_code_is_copied_to_the_schedule(scheduled):
    coupon = scheduled.world.sdk.coupons.create({"amount_off": 100, "currency": "usd", "duration": "forever"})
    code = scheduled.world.sdk.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "LESS"})
    scheduled.world.sdk.subscriptions.update(scheduled.state.stripe_subscription_id, {"discounts": [{"promotion_code": code.id}]})
    scheduled.world.deliver()
    scheduled.later(31.2)
    assert newest().total == 800


def test_a_later_removal_of_a_discount_is_copied(payer, api, owner):
    coupon = payer.world.sdk.coupons.create({"percent_off": 50, "duration": "forever"})
    payer.buy("enterprise", discounts=[{"coupon": coupon.id}])
    api.post(CHANGE, PRO, by=owner)
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"discounts": ""})
    payer.world.deliver()
    payer.later(31.2)
    assert newest().total == 900


def test_a_later_quantity_is_copied_to_the_schedule(scheduled):
    subscription = scheduled.world.sdk.subscriptions.retrieve(scheduled.state.stripe_subscription_id)
    row = {"id": subscription["items"].data[0].id, "quantity": 5}
    scheduled.world.sdk.subscriptions.update(subscription.id, {"items": [row], "proration_behavior": "none"})
    scheduled.world.deliver()
    scheduled.later(31.2)
    assert newest().total == 4500


def test_the_quantity_at_scheduling_is_kept(payer, api, owner):
    subscription = payer.world.sdk.subscriptions.create(
        {"customer": payer.customer, "items": [{"price": price_of("enterprise"), "quantity": 3}]}
    )
    payer.world.deliver()
    assert api.post(CHANGE, PRO, by=owner).status_code == 200
    payer.later(31.2)
    assert payer.world.sdk.subscriptions.retrieve(subscription.id)["items"].data[0].quantity == 3
    assert newest().total == 2700


def test_a_later_card_is_copied_to_the_schedule(scheduled):
    card = scheduled.world.card(scheduled.customer, "pm_card_mastercard")
    scheduled.world.card(scheduled.customer, "pm_card_chargeCustomerFail")
    scheduled.world.sdk.subscriptions.update(scheduled.state.stripe_subscription_id, {"default_payment_method": card})
    scheduled.world.deliver()
    scheduled.later(31.2)
    assert scheduled.world.sdk.subscriptions.retrieve(scheduled.state.stripe_subscription_id).default_payment_method == card
    assert (scheduled.state.status, newest().status) == ("active", "paid")


def test_a_replaced_card_is_not_restored(payer, api, owner):
    first = payer.world.card(payer.customer)
    subscription = payer.buy("enterprise", default_payment_method=first)
    api.post(CHANGE, PRO, by=owner)
    second = payer.world.card(payer.customer, "pm_card_mastercard")
    payer.world.sdk.subscriptions.update(subscription.id, {"default_payment_method": second})
    payer.world.deliver()
    payer.later(31.2)
    assert payer.world.sdk.subscriptions.retrieve(subscription.id).default_payment_method == second


def test_an_item_of_the_dashboard_is_copied_to_the_schedule(scheduled):
    product = scheduled.world.sdk.products.create({"name": "Support"})
    price = scheduled.world.sdk.prices.create(
        {"product": product.id, "unit_amount": 2500, "currency": "usd", "recurring": {"interval": "month"}}
    )
    scheduled.world.sdk.subscription_items.create(
        {"subscription": scheduled.state.stripe_subscription_id, "price": price.id, "proration_behavior": "none"}
    )
    scheduled.world.deliver()
    scheduled.later(31.2)
    assert (scheduled.state.plan, newest().total) == ("pro", 900 + 2500)


@pytest.fixture
def shortened(payer, api, owner):
    """Pro, billed yearly until the year ends, then monthly."""
    payer.buy("pro", "year")
    assert api.post(CHANGE, PRO, by=owner).status_code == 200
    return payer


def test_change_waits_for_the_year_although_overage_is_billed_monthly(shortened, api, owner):
    year_ends = shortened.state.current_period_end
    api.put(OVERAGE, {"enabled": True, "cap": 500}, by=owner)
    api.delete(f"{SUBSCRIPTION}/upcoming-change", by=owner)
    assert moment_of(api.post(CHANGE, PRO, by=owner).json()) == year_ends
    shortened.later(32)
    assert shortened.state.interval == "year"


def give_free_days(payer, days: int) -> datetime:
    """Extend the paid period as staff do in Stripe's dashboard. Return its new end."""
    until = payer.state.current_period_end + timedelta(days=days)
    expected = {"trial_end": int(until.timestamp()), "proration_behavior": "none"}
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, expected)
    payer.world.deliver()
    return until


def moment_of(result) -> datetime:
    return datetime.fromisoformat(result["upcomingChange"]["at"])


def test_later_free_days_postpone_the_change(scheduled, api, owner):
    until = give_free_days(scheduled, 14)
    assert moment_of(api.get(SUBSCRIPTION, by=owner).json()) == until
    scheduled.later(32)
    assert (scheduled.state.plan, scheduled.state.status) == ("enterprise", "trialing")
    scheduled.later(14)
    assert (scheduled.state.plan, scheduled.state.status, newest().total) == ("pro", "active", 900)
    assert scheduled.plan == "pro"


def test_removing_free_days_moves_the_change_forward(scheduled, api, owner):
    give_free_days(scheduled, 14)
    give_free_days(scheduled, -7)
    assert moment_of(api.get(SUBSCRIPTION, by=owner).json()) == scheduled.state.current_period_end
    scheduled.later(40)
    assert scheduled.state.plan == "pro"


def test_changes_before_free_days_are_kept_after_them(scheduled):
    coupon = scheduled.world.sdk.coupons.create({"percent_off": 50, "duration": "forever"})
    scheduled.world.sdk.subscriptions.update(scheduled.state.stripe_subscription_id, {"discounts": [{"coupon": coupon.id}]})
    scheduled.world.deliver()
    give_free_days(scheduled, 14)
    scheduled.later(46)
    assert (scheduled.state.plan, newest().total) == ("pro", 450)


def test_a_downgrade_during_free_days_starts_after_them(payer, api, owner):
    payer.buy("enterprise")
    payer.later(1)
    until = give_free_days(payer, 14)
    data = api.post("/api/billing/preview-change", PRO, by=owner).json()
    assert (data["when"], data["nextAmount"], datetime.fromisoformat(data["effectiveAt"])) == ("period_end", 900, until)
    assert moment_of(api.post(CHANGE, PRO, by=owner).json()) == until
    payer.later((until - now(payer.organization)).days - 1)
    assert payer.plan == "enterprise"
    payer.later(3)
    assert (payer.plan, newest().total) == ("pro", 900)


def test_an_upgrade_during_free_days_is_immediate_and_free(payer, api, owner):
    payer.buy("pro")
    payer.later(1)
    give_free_days(payer, 14)
    paid = newest().pk
    assert api.post(CHANGE, PRO | {"planTier": "enterprise"}, by=owner).status_code == 200
    assert (payer.plan, newest().pk) == ("enterprise", paid)


def test_the_email_before_free_days_end_has_the_amount(scheduled):
    scheduled.later(1)
    until = give_free_days(scheduled, 14)
    scheduled.later((until - now(scheduled.organization)).days - 1)
    sender.deliver_due()
    (email,) = [each for each in mail.outbox if "free period ends on" in each.subject]
    assert "Your next payment for ContextMCP Pro is due on that date: $9.00 for the next month." in email.body


def test_free_days_postpone_a_cancellation(payer, api, owner):
    payer.buy("enterprise")
    assert api.post("/api/billing/cancel", by=owner).status_code == 200
    payer.world.deliver()
    until = give_free_days(payer, 14)
    assert datetime.fromisoformat(api.get(SUBSCRIPTION, by=owner).json()["cancelAt"]) == until
    payer.later(40)
    assert payer.plan == "enterprise"
    payer.later(6)
    assert payer.plan == "free"


def year_later(payer) -> None:
    for _ in range(13):
        payer.later(28.2)


def test_overage_enabled_later_is_copied_to_the_schedule(shortened, api, owner, acme):
    assert api.put(OVERAGE, {"enabled": True, "cap": 500}, by=owner).status_code == 200
    assert len(schedule_of(shortened).phases[-1]["items"]) == 2
    year_later(shortened)
    data = api.get(SUBSCRIPTION, by=owner).json()
    assert (data["interval"], data["overage"]["enabled"]) == ("month", True)
    assert shortened.state.overage_item_id
    UsageTracker(acme).consume("sessions", 1001)


def test_overage_is_kept_by_another_scheduled_plan(shortened, api, owner):
    """A new schedule repeats the subscription as it is, not as it was when the first change was scheduled."""
    api.put(OVERAGE, {"enabled": True, "cap": 500}, by=owner)
    item = shortened.state.overage_item_id
    api.delete(f"{SUBSCRIPTION}/upcoming-change", by=owner)
    assert api.post(CHANGE, PRO, by=owner).status_code == 200
    assert shortened.state.overage_item_id == item


def test_a_schedule_of_the_dashboard_is_not_changed(payer):
    subscription = payer.buy("enterprise")
    created = payer.world.sdk.subscription_schedules.create({"from_subscription": subscription.id})
    rows = {name: [{"price": price_of(name), "quantity": 1}] for name in ("enterprise", "pro")}
    begin, end = created.phases[0].start_date, created.phases[0].end_date
    phases = [
        {"items": rows["enterprise"], "start_date": begin, "end_date": end},
        {"items": rows["pro"], "duration": {"interval": "month"}},
    ]
    payer.world.sdk.subscription_schedules.update(created.id, {"phases": phases})
    coupon = payer.world.sdk.coupons.create({"percent_off": 50, "duration": "forever"})
    payer.world.sdk.subscriptions.update(subscription.id, {"discounts": [{"coupon": coupon.id}]})
    payer.world.deliver()
    assert schedule_of(payer).phases[-1].discounts == []


def test_aligned_schedule_makes_no_stripe_call(scheduled, monkeypatch):
    from billing.stripe.gateway import subscriptions

    monkeypatch.setattr(subscriptions, "update_schedule", lambda *args, **params: pytest.fail("nothing differs"))
    scheduled.world.sdk.subscriptions.update(scheduled.state.stripe_subscription_id, {"metadata": {"note": "x"}})
    scheduled.world.deliver()


def test_an_aligned_change_can_be_canceled(scheduled, api, owner):
    coupon = scheduled.world.sdk.coupons.create({"percent_off": 50, "duration": "forever"})
    scheduled.world.sdk.subscriptions.update(scheduled.state.stripe_subscription_id, {"discounts": [{"coupon": coupon.id}]})
    scheduled.world.deliver()
    assert api.delete(f"{SUBSCRIPTION}/upcoming-change", by=owner).json()["upcomingChange"] is None
    assert problem(api.delete(f"{SUBSCRIPTION}/upcoming-change", by=owner)) == (409, "nothing_to_change")
