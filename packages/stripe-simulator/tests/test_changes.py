"""Changes of subscriptions, to the cent."""

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe
from simulator_fixtures import START, StripeApi, amounts

DAY = 86_400


def half(stripe_api: StripeApi, customer: stripe.Customer, subscription: stripe.Subscription) -> None:
    stripe_api.advance(customer, (START + stripe_api.end_of(subscription.id)) // 2)


def swap(stripe_api: StripeApi, subscription: str, price: str, **more: Any) -> stripe.Subscription:
    item = stripe_api.v1.subscriptions.retrieve(subscription)["items"].data[0]
    return stripe_api.v1.subscriptions.update(subscription, {"items": [{"id": item.id, "price": price}], **more})


def preview(stripe_api: StripeApi, subscription: str, price: str, **more: Any) -> stripe.Invoice:
    item = stripe_api.v1.subscriptions.retrieve(subscription)["items"].data[0]
    details: Any = {"items": [{"id": item.id, "price": price}], **more}
    return stripe_api.v1.invoices.create_preview({"subscription": subscription, "subscription_details": details})


def test_an_upgrade_from_10_to_20_halfway_costs_5(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id)
    half(stripe_api, customer, subscription)
    expensive = stripe_api.price(2000).id
    mark = len(stripe_api.event_types())
    swap(stripe_api, subscription.id, expensive, proration_behavior="always_invoice")
    invoice = stripe_api.latest(subscription.id)
    assert amounts(invoice) == [-500, 1000]
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == ("paid", 500, "subscription_update")
    assert [line.description for line in invoice.lines.data] == [
        "Unused time on Pro after 16 Jan 2026",
        "Remaining time on Pro after 16 Jan 2026",
    ]
    result = stripe_api.event_types()[mark:]
    about = [kind for kind in result if kind.startswith(("invoice.", "customer.subscription", "invoiceitem"))]
    paid = ["invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"]
    assert about == [*paid, "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created"]


def test_a_preview_equals_the_invoice_and_changes_nothing(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(900).id)
    stripe_api.advance(customer, START + 11 * DAY + 1_234)
    moment = START + 11 * DAY + 1_234
    expensive, before = stripe_api.price(2900).id, len(stripe_api.event_types())
    observed = preview(stripe_api, subscription.id, expensive, proration_behavior="always_invoice", proration_date=moment)
    assert len(stripe_api.event_types()) == before
    assert len(stripe_api.v1.invoices.list({"customer": customer.id}).data) == 1
    swap(stripe_api, subscription.id, expensive, proration_behavior="always_invoice", proration_date=moment)
    real = stripe_api.latest(subscription.id)
    assert (amounts(observed), observed.amount_due, observed.total) == (amounts(real), real.amount_due, real.total)
    assert [line.description for line in observed.lines.data] == [line.description for line in real.lines.data]


def test_prorations_are_billed_at_the_renewal(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id)
    half(stripe_api, customer, subscription)
    expensive = stripe_api.price(2000).id
    observed = preview(stripe_api, subscription.id, expensive)
    swap(stripe_api, subscription.id, expensive)
    assert amounts(observed) == [-500, 1000, 2000]
    upcoming = stripe_api.v1.invoices.create_preview({"subscription": subscription.id})
    assert amounts(upcoming) == [-500, 1000, 2000]
    assert amounts(stripe_api.renew(customer, subscription.id)) == [-500, 1000, 2000]


def test_credits_use_the_last_billed_price(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id)
    half(stripe_api, customer, subscription)
    swap(stripe_api, subscription.id, stripe_api.price(2000).id, proration_behavior="none")
    swap(stripe_api, subscription.id, stripe_api.price(3000).id, proration_behavior="always_invoice")
    assert amounts(stripe_api.latest(subscription.id)) == [-500, 1500]


def test_two_changes_in_one_period_are_both_prorated(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    cheap, expensive = stripe_api.price(1000).id, stripe_api.price(2000).id
    subscription = stripe_api.subscribe(customer, cheap)
    end = stripe_api.end_of(subscription.id)
    half(stripe_api, customer, subscription)
    swap(stripe_api, subscription.id, expensive, proration_behavior="always_invoice")
    stripe_api.advance(customer, START + (end - START) * 3 // 4)
    swap(stripe_api, subscription.id, cheap, proration_behavior="always_invoice")
    assert amounts(stripe_api.latest(subscription.id)) == [-500, 250]
    assert stripe_api.v1.customers.retrieve(customer.id).balance == -250
    renewed = stripe_api.renew(customer, subscription.id)
    assert (renewed.total, renewed.amount_due, renewed.ending_balance) == (1000, 750, 0)


def test_a_change_to_yearly_starts_a_new_cycle(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    monthly, yearly = stripe_api.price(1000).id, stripe_api.price(10000, "year").id
    subscription = stripe_api.subscribe(customer, monthly)
    half(stripe_api, customer, subscription)
    observed = preview(stripe_api, subscription.id, yearly)
    swap(stripe_api, subscription.id, yearly)
    invoice = stripe_api.latest(subscription.id)
    assert amounts(observed) == amounts(invoice) == [-500, 10000]
    assert (invoice.status, invoice.amount_paid) == ("paid", 9500)
    item = stripe_api.v1.subscriptions.retrieve(subscription.id)["items"].data[0]
    assert item.current_period_end - item.current_period_start == 365 * DAY
    swap(stripe_api, subscription.id, monthly)
    assert stripe_api.latest(subscription.id).total < 0
    assert stripe_api.v1.customers.retrieve(customer.id).balance == -9000


def test_quantities_are_prorated_too(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id)
    half(stripe_api, customer, subscription)
    item = subscription["items"].data[0]
    stripe_api.v1.subscription_items.update(item.id, {"quantity": 3, "proration_behavior": "always_invoice"})
    assert amounts(stripe_api.latest(subscription.id)) == [-500, 1500]


def test_a_change_during_the_trial_costs_nothing(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(1000).id, trial_period_days=14)
    changed = swap(stripe_api, subscription.id, stripe_api.price(2000).id, proration_behavior="always_invoice")
    assert (changed.status, changed.trial_end) == ("trialing", subscription.trial_end)
    assert len(stripe_api.v1.invoices.list({"customer": customer.id}).data) == 1
    ended = stripe_api.v1.subscriptions.update(subscription.id, {"trial_end": "now"})
    assert ended.status == "active"
    assert stripe_api.latest(subscription.id).amount_paid == 2000


def test_an_unpaid_upgrade_is_reverted_or_pending(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    cheap, expensive = stripe_api.price(1000).id, stripe_api.price(2000).id
    subscription = stripe_api.subscribe(customer, cheap)
    half(stripe_api, customer, subscription)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        swap(stripe_api, subscription.id, expensive, proration_behavior="always_invoice", payment_behavior="error_if_incomplete")
    assert stripe_api.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == cheap
    assert len(stripe_api.v1.invoices.list({"customer": customer.id}).data) == 1
    waiting = swap(stripe_api, subscription.id, expensive, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete")
    assert (waiting.status, waiting["items"].data[0].price.id) == ("active", cheap)
    assert waiting.pending_update.subscription_items[0].price.id == expensive
    stripe_api.v1.invoices.pay(stripe_api.latest(subscription.id).id, {"payment_method": "pm_card_visa"})
    done = stripe_api.v1.subscriptions.retrieve(subscription.id)
    assert (done["items"].data[0].price.id, done.pending_update) == (expensive, None)


def test_a_pending_change_expires_after_23_hours(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    cheap, expensive = stripe_api.price(1000).id, stripe_api.price(2000).id
    subscription = stripe_api.subscribe(customer, cheap)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    stripe_api.advance(customer, START + DAY)
    swap(stripe_api, subscription.id, expensive, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete")
    stripe_api.advance(customer, START + 2 * DAY)
    done = stripe_api.v1.subscriptions.retrieve(subscription.id)
    assert (done.pending_update, done["items"].data[0].price.id, stripe_api.latest(subscription.id).status) == (None, cheap, "void")


def phase(price: str, **more: Any) -> dict[str, Any]:
    return {"items": [{"price": price, "quantity": 1}], **more}


def test_a_downgrade_takes_effect_at_the_period_end(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    expensive, cheap = stripe_api.price(2000).id, stripe_api.price(1000).id
    subscription = stripe_api.subscribe(customer, expensive)
    end = stripe_api.end_of(subscription.id)
    schedule = stripe_api.v1.subscription_schedules.create({"from_subscription": subscription.id})
    assert (schedule.status, schedule.phases[0].end_date) == ("active", end)
    phases: Any = [phase(expensive, start_date=START, end_date=end), phase(cheap, duration={"interval": "month", "interval_count": 1})]
    stripe_api.v1.subscription_schedules.update(schedule.id, {"phases": phases, "end_behavior": "release"})
    assert stripe_api.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == expensive
    assert amounts(stripe_api.v1.invoices.create_preview({"subscription": subscription.id})) == [1000]
    invoice = stripe_api.renew(customer, subscription.id)
    after = stripe_api.v1.subscriptions.retrieve(subscription.id)
    assert (amounts(invoice), invoice.status, after["items"].data[0].price.id) == ([1000], "paid", cheap)
    assert after["items"].data[0].id == subscription["items"].data[0].id
    stripe_api.renew(customer, subscription.id)
    assert stripe_api.v1.subscription_schedules.retrieve(schedule.id).status == "released"
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).schedule is None


def test_a_downgrade_from_yearly_to_monthly_by_schedule(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    yearly, monthly = stripe_api.price(9000, "year").id, stripe_api.price(900).id
    subscription = stripe_api.subscribe(customer, yearly)
    end = stripe_api.end_of(subscription.id)
    schedule = stripe_api.v1.subscription_schedules.create({"from_subscription": subscription.id})
    phases: Any = [phase(yearly, start_date=START, end_date=end), phase(monthly)]
    stripe_api.v1.subscription_schedules.update(schedule.id, {"phases": phases})
    stripe_api.advance(customer, end + 3_660)
    assert amounts(stripe_api.latest(subscription.id)) == [900]
    assert datetime.fromtimestamp(stripe_api.end_of(subscription.id), UTC).strftime("%Y-%m-%d") == "2027-02-01"
    assert stripe_api.v1.invoices.list({"customer": customer.id}).data[0].id == stripe_api.latest(subscription.id).id


def test_a_schedule_can_be_released(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(2000).id)
    schedule = stripe_api.v1.subscription_schedules.create({"from_subscription": subscription.id})
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).schedule == schedule.id
    assert stripe_api.v1.subscription_schedules.release(schedule.id).released_subscription == subscription.id
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).schedule is None
    with pytest.raises(stripe.InvalidRequestError):
        stripe_api.v1.subscription_schedules.release(schedule.id)
    assert stripe_api.event_types("subscription_schedule") == ["subscription_schedule.created", "subscription_schedule.released"]


def test_a_phase_has_only_its_own_discounts(stripe_api: StripeApi) -> None:
    coupon = stripe_api.v1.coupons.create({"percent_off": 50, "duration": "forever"})
    expensive, cheap = stripe_api.price(2000).id, stripe_api.price(1000).id
    totals = []
    for named in (True, False):
        customer = stripe_api.customer()
        subscription = stripe_api.subscribe(customer, expensive, discounts=[{"coupon": coupon.id}])
        schedule = stripe_api.v1.subscription_schedules.create({"from_subscription": subscription.id})
        present = schedule.phases[0]
        discount = present.discounts[0].discount
        assert [discount] == subscription.discounts
        here = {"discounts": [{"discount": discount}]}
        first = phase(expensive, start_date=present.start_date, end_date=present.end_date, **here)
        phases: Any = [first, phase(cheap, **(here if named else {}))]
        stripe_api.v1.subscription_schedules.update(schedule.id, {"phases": phases})
        totals.append(stripe_api.renew(customer, subscription.id).total)
    assert totals == [500, 1000]


def test_a_phase_does_not_restore_an_ended_discount(stripe_api: StripeApi) -> None:
    coupon = stripe_api.v1.coupons.create({"percent_off": 50, "duration": "repeating", "duration_in_months": 1})
    expensive, cheap = stripe_api.price(2000).id, stripe_api.price(1000).id
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, expensive, discounts=[{"coupon": coupon.id}])
    named = {"discounts": [{"discount": subscription.discounts[0]}]}
    schedule = stripe_api.v1.subscription_schedules.create({"from_subscription": subscription.id})
    phases: Any = [phase(expensive, start_date=START, end_date=stripe_api.end_of(subscription.id), **named), phase(cheap, **named)]
    stripe_api.v1.subscription_schedules.update(schedule.id, {"phases": phases})
    assert stripe_api.renew(customer, subscription.id).total == 1000
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).discounts == []
