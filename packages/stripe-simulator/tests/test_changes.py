"""Changes of subscriptions, to the cent."""

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe
from simulator_fixtures import START, Shop, amounts

DAY = 86_400


def half(shop: Shop, customer: stripe.Customer, subscription: stripe.Subscription) -> None:
    shop.advance(customer, (START + shop.end_of(subscription.id)) // 2)


def swap(shop: Shop, subscription: str, price: str, **more: Any) -> stripe.Subscription:
    item = shop.v1.subscriptions.retrieve(subscription)["items"].data[0]
    return shop.v1.subscriptions.update(subscription, {"items": [{"id": item.id, "price": price}], **more})  # type: ignore[typeddict-item]


def preview(shop: Shop, subscription: str, price: str, **more: Any) -> stripe.Invoice:
    item = shop.v1.subscriptions.retrieve(subscription)["items"].data[0]
    details: Any = {"items": [{"id": item.id, "price": price}], **more}
    return shop.v1.invoices.create_preview({"subscription": subscription, "subscription_details": details})


def test_an_upgrade_from_10_to_20_halfway_costs_5(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(1000).id)
    half(shop, customer, subscription)
    dear = shop.price(2000).id
    mark = len(shop.event_types())
    swap(shop, subscription.id, dear, proration_behavior="always_invoice")
    invoice = shop.latest(subscription.id)
    assert amounts(invoice) == [-500, 1000]
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == ("paid", 500, "subscription_update")
    assert [line.description for line in invoice.lines.data] == [
        "Unused time on Pro after 16 Jan 2026",
        "Remaining time on Pro after 16 Jan 2026",
    ]
    told = shop.event_types()[mark:]
    about = [kind for kind in told if kind.startswith(("invoice.", "customer.subscription", "invoiceitem"))]
    paid = ["invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"]
    assert about == [*paid, "customer.subscription.updated", "invoiceitem.created", "invoiceitem.created"]


def test_a_preview_equals_the_invoice_and_changes_nothing(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(900).id)
    shop.advance(customer, START + 11 * DAY + 1_234)
    moment = START + 11 * DAY + 1_234
    dear, before = shop.price(2900).id, len(shop.event_types())
    seen = preview(shop, subscription.id, dear, proration_behavior="always_invoice", proration_date=moment)
    assert len(shop.event_types()) == before
    assert len(shop.v1.invoices.list({"customer": customer.id}).data) == 1
    swap(shop, subscription.id, dear, proration_behavior="always_invoice", proration_date=moment)
    real = shop.latest(subscription.id)
    assert (amounts(seen), seen.amount_due, seen.total) == (amounts(real), real.amount_due, real.total)
    assert [line.description for line in seen.lines.data] == [line.description for line in real.lines.data]


def test_prorations_are_billed_at_the_renewal(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(1000).id)
    half(shop, customer, subscription)
    dear = shop.price(2000).id
    seen = preview(shop, subscription.id, dear)
    swap(shop, subscription.id, dear)
    assert amounts(seen) == [-500, 1000, 2000]
    upcoming = shop.v1.invoices.create_preview({"subscription": subscription.id})
    assert amounts(upcoming) == [-500, 1000, 2000]
    assert amounts(shop.renew(customer, subscription.id)) == [-500, 1000, 2000]


def test_credits_use_the_last_billed_price(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(1000).id)
    half(shop, customer, subscription)
    swap(shop, subscription.id, shop.price(2000).id, proration_behavior="none")
    swap(shop, subscription.id, shop.price(3000).id, proration_behavior="always_invoice")
    assert amounts(shop.latest(subscription.id)) == [-500, 1500]


def test_two_changes_in_one_period_are_both_prorated(shop: Shop) -> None:
    customer = shop.customer()
    cheap, dear = shop.price(1000).id, shop.price(2000).id
    subscription = shop.subscribe(customer, cheap)
    end = shop.end_of(subscription.id)
    half(shop, customer, subscription)
    swap(shop, subscription.id, dear, proration_behavior="always_invoice")
    shop.advance(customer, START + (end - START) * 3 // 4)
    swap(shop, subscription.id, cheap, proration_behavior="always_invoice")
    assert amounts(shop.latest(subscription.id)) == [-500, 250]
    assert shop.v1.customers.retrieve(customer.id).balance == -250
    renewed = shop.renew(customer, subscription.id)
    assert (renewed.total, renewed.amount_due, renewed.ending_balance) == (1000, 750, 0)


def test_a_change_to_yearly_starts_a_new_cycle(shop: Shop) -> None:
    customer = shop.customer()
    monthly, yearly = shop.price(1000).id, shop.price(10000, "year").id
    subscription = shop.subscribe(customer, monthly)
    half(shop, customer, subscription)
    seen = preview(shop, subscription.id, yearly)
    swap(shop, subscription.id, yearly)
    invoice = shop.latest(subscription.id)
    assert amounts(seen) == amounts(invoice) == [-500, 10000]
    assert (invoice.status, invoice.amount_paid) == ("paid", 9500)
    item = shop.v1.subscriptions.retrieve(subscription.id)["items"].data[0]
    assert item.current_period_end - item.current_period_start == 365 * DAY
    swap(shop, subscription.id, monthly)
    assert shop.latest(subscription.id).total < 0
    assert shop.v1.customers.retrieve(customer.id).balance == -9000


def test_quantities_are_prorated_too(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(1000).id)
    half(shop, customer, subscription)
    item = subscription["items"].data[0]
    shop.v1.subscription_items.update(item.id, {"quantity": 3, "proration_behavior": "always_invoice"})
    assert amounts(shop.latest(subscription.id)) == [-500, 1500]


def test_a_change_during_the_trial_costs_nothing(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(1000).id, trial_period_days=14)
    changed = swap(shop, subscription.id, shop.price(2000).id, proration_behavior="always_invoice")
    assert (changed.status, changed.trial_end) == ("trialing", subscription.trial_end)
    assert len(shop.v1.invoices.list({"customer": customer.id}).data) == 1
    ended = shop.v1.subscriptions.update(subscription.id, {"trial_end": "now"})
    assert ended.status == "active"
    assert shop.latest(subscription.id).amount_paid == 2000


def test_an_unpaid_upgrade_is_reverted_or_pending(shop: Shop) -> None:
    customer = shop.customer()
    cheap, dear = shop.price(1000).id, shop.price(2000).id
    subscription = shop.subscribe(customer, cheap)
    half(shop, customer, subscription)
    shop.card(customer.id, "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        swap(shop, subscription.id, dear, proration_behavior="always_invoice", payment_behavior="error_if_incomplete")
    assert shop.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == cheap
    assert len(shop.v1.invoices.list({"customer": customer.id}).data) == 1
    waiting = swap(shop, subscription.id, dear, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete")
    assert (waiting.status, waiting["items"].data[0].price.id) == ("active", cheap)
    assert waiting.pending_update.subscription_items[0].price.id == dear
    shop.v1.invoices.pay(shop.latest(subscription.id).id, {"payment_method": "pm_card_visa"})
    done = shop.v1.subscriptions.retrieve(subscription.id)
    assert (done["items"].data[0].price.id, done.pending_update) == (dear, None)


def test_a_pending_change_expires_after_23_hours(shop: Shop) -> None:
    customer = shop.customer()
    cheap, dear = shop.price(1000).id, shop.price(2000).id
    subscription = shop.subscribe(customer, cheap)
    shop.card(customer.id, "pm_card_chargeCustomerFail")
    shop.advance(customer, START + DAY)
    swap(shop, subscription.id, dear, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete")
    shop.advance(customer, START + 2 * DAY)
    done = shop.v1.subscriptions.retrieve(subscription.id)
    assert (done.pending_update, done["items"].data[0].price.id, shop.latest(subscription.id).status) == (None, cheap, "void")


def phase(price: str, **more: Any) -> dict[str, Any]:
    return {"items": [{"price": price, "quantity": 1}], **more}


def test_a_downgrade_takes_effect_at_the_period_end(shop: Shop) -> None:
    customer = shop.customer()
    dear, cheap = shop.price(2000).id, shop.price(1000).id
    subscription = shop.subscribe(customer, dear)
    end = shop.end_of(subscription.id)
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    assert (schedule.status, schedule.phases[0].end_date) == ("active", end)
    phases: Any = [phase(dear, start_date=START, end_date=end), phase(cheap, duration={"interval": "month", "interval_count": 1})]
    shop.v1.subscription_schedules.update(schedule.id, {"phases": phases, "end_behavior": "release"})
    assert shop.v1.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == dear
    assert amounts(shop.v1.invoices.create_preview({"subscription": subscription.id})) == [1000]
    invoice = shop.renew(customer, subscription.id)
    after = shop.v1.subscriptions.retrieve(subscription.id)
    assert (amounts(invoice), invoice.status, after["items"].data[0].price.id) == ([1000], "paid", cheap)
    assert after["items"].data[0].id == subscription["items"].data[0].id
    shop.renew(customer, subscription.id)
    assert shop.v1.subscription_schedules.retrieve(schedule.id).status == "released"
    assert shop.v1.subscriptions.retrieve(subscription.id).schedule is None


def test_a_downgrade_from_yearly_to_monthly_by_schedule(shop: Shop) -> None:
    customer = shop.customer()
    yearly, monthly = shop.price(9000, "year").id, shop.price(900).id
    subscription = shop.subscribe(customer, yearly)
    end = shop.end_of(subscription.id)
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    phases: Any = [phase(yearly, start_date=START, end_date=end), phase(monthly)]
    shop.v1.subscription_schedules.update(schedule.id, {"phases": phases})
    shop.advance(customer, end + 3_660)
    assert amounts(shop.latest(subscription.id)) == [900]
    assert datetime.fromtimestamp(shop.end_of(subscription.id), UTC).strftime("%Y-%m-%d") == "2027-02-01"
    assert shop.v1.invoices.list({"customer": customer.id}).data[0].id == shop.latest(subscription.id).id


def test_a_schedule_can_be_released(shop: Shop) -> None:
    customer = shop.customer()
    subscription = shop.subscribe(customer, shop.price(2000).id)
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    assert shop.v1.subscriptions.retrieve(subscription.id).schedule == schedule.id
    assert shop.v1.subscription_schedules.release(schedule.id).released_subscription == subscription.id
    assert shop.v1.subscriptions.retrieve(subscription.id).schedule is None
    with pytest.raises(stripe.InvalidRequestError):
        shop.v1.subscription_schedules.release(schedule.id)
    assert shop.event_types("subscription_schedule") == ["subscription_schedule.created", "subscription_schedule.released"]


def test_a_phase_has_only_its_own_discounts(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "forever"})
    dear, cheap = shop.price(2000).id, shop.price(1000).id
    totals = []
    for named in (True, False):
        customer = shop.customer()
        subscription = shop.subscribe(customer, dear, discounts=[{"coupon": coupon.id}])
        schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
        present = schedule.phases[0]
        discount = present.discounts[0].discount
        assert [discount] == subscription.discounts
        here = {"discounts": [{"discount": discount}]}
        first = phase(dear, start_date=present.start_date, end_date=present.end_date, **here)
        phases: Any = [first, phase(cheap, **(here if named else {}))]
        shop.v1.subscription_schedules.update(schedule.id, {"phases": phases})
        totals.append(shop.renew(customer, subscription.id).total)
    assert totals == [500, 1000]


def test_a_phase_does_not_restore_an_ended_discount(shop: Shop) -> None:
    coupon = shop.v1.coupons.create({"percent_off": 50, "duration": "repeating", "duration_in_months": 1})
    dear, cheap = shop.price(2000).id, shop.price(1000).id
    customer = shop.customer()
    subscription = shop.subscribe(customer, dear, discounts=[{"coupon": coupon.id}])
    named = {"discounts": [{"discount": subscription.discounts[0]}]}
    schedule = shop.v1.subscription_schedules.create({"from_subscription": subscription.id})
    phases: Any = [phase(dear, start_date=START, end_date=shop.end_of(subscription.id), **named), phase(cheap, **named)]
    shop.v1.subscription_schedules.update(schedule.id, {"phases": phases})
    assert shop.renew(customer, subscription.id).total == 1000
    assert shop.v1.subscriptions.retrieve(subscription.id).discounts == []
