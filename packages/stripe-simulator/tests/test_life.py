"""The life cycle of subscriptions: trials, renewals, declines, recoveries, cancellations."""

from datetime import UTC, datetime

import pytest
import requests
import stripe
from simulator_fixtures import START, StripeApi, amounts, post
from stripe_simulator.testing import Running

DAY = 86_400


def date(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"


def test_a_trial_is_announced_and_becomes_a_paid_month(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price(900).id, trial_period_days=14)
    assert (subscription.status, stripe_api.latest(subscription.id).total) == ("trialing", 0)
    stripe_api.advance(customer, START + 11 * DAY)
    assert "customer.subscription.trial_will_end" in stripe_api.event_types("customer.subscription")
    stripe_api.advance(customer, START + 14 * DAY)
    draft = stripe_api.latest(subscription.id)
    assert (draft.status, draft.billing_reason, draft.amount_due) == ("draft", "subscription_cycle", 900)
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "active"
    stripe_api.advance(customer, START + 14 * DAY + 3_660)
    assert stripe_api.latest(subscription.id).status == "paid"
    assert date(stripe_api.end_of(subscription.id)) == "2026-02-15"


def test_a_short_trial_is_announced_immediately(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    stripe_api.subscribe(customer, stripe_api.price().id, trial_period_days=1)
    assert "customer.subscription.trial_will_end" in stripe_api.event_types()


@pytest.mark.parametrize(("behavior", "status"), [("cancel", "canceled"), ("pause", "paused"), ("create_invoice", "active")])
def test_a_trial_without_a_card_ends_according_to_its_settings(stripe_api: StripeApi, behavior: str, status: str) -> None:
    customer = stripe_api.customer(None)
    settings = {"end_behavior": {"missing_payment_method": behavior}}
    subscription = stripe_api.subscribe(customer, stripe_api.price().id, trial_period_days=7, trial_settings=settings)
    stripe_api.advance(customer, START + 7 * DAY + 60)
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == status
    if behavior == "pause":
        stripe_api.card(customer.id, "pm_card_visa")
        assert stripe_api.v1.subscriptions.resume(subscription.id, {"billing_cycle_anchor": "now"}).status == "active"
        assert stripe_api.latest(subscription.id).amount_paid == 1000


def test_periods_return_to_the_31st(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer(at=int(datetime(2027, 12, 31, 12, tzinfo=UTC).timestamp()))
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    ends = []
    for _ in range(4):
        ends.append(date(stripe_api.end_of(subscription.id)))
        stripe_api.renew(customer, subscription.id)
    assert ends == ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]


def test_a_declined_renewal_is_past_due_until_a_new_card_pays(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    invoice = stripe_api.renew(customer, subscription.id)
    assert (invoice.status, invoice.attempt_count, invoice.attempted) == ("open", 1, True)
    assert invoice.next_payment_attempt is not None
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "past_due"
    assert stripe_api.v1.customers.retrieve(customer.id).delinquent is True
    stripe_api.card(customer.id, "pm_card_visa")
    stripe_api.advance(customer, invoice.next_payment_attempt)
    assert stripe_api.latest(subscription.id).status == "paid"
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_paying_an_invoice_returns_the_decline_and_keeps_its_history(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    invoice = stripe_api.renew(customer, subscription.id)
    with pytest.raises(stripe.CardError) as declined:
        stripe_api.v1.invoices.pay(invoice.id)
    assert (declined.value.code, declined.value.http_status) == ("card_declined", 402)
    attempted = stripe_api.v1.invoices.retrieve(invoice.id)
    assert (attempted.attempt_count, attempted.next_payment_attempt) == (1, invoice.next_payment_attempt)
    assert stripe_api.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"}).status == "paid"


def test_manual_attempts_do_not_bring_the_last_retry_forward(simulator: Running, stripe_api: StripeApi) -> None:
    requests.post(f"{simulator.base_url}/_sim/dunning", json={"retries": [1, 2], "final": "cancel"}, timeout=5)
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    invoice = stripe_api.renew(customer, subscription.id)
    stripe_api.advance(customer, invoice.next_payment_attempt)
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            stripe_api.v1.invoices.pay(invoice.id)
    attempted = stripe_api.v1.invoices.retrieve(invoice.id)
    assert attempted.attempt_count == 2
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "past_due"
    stripe_api.advance(customer, attempted.next_payment_attempt)
    assert stripe_api.v1.invoices.retrieve(invoice.id).attempt_count == 3
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "canceled"


@pytest.mark.parametrize(("final", "status"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("past_due", "past_due")])
def test_after_the_last_attempt_the_final_action_applies(simulator: Running, stripe_api: StripeApi, final: str, status: str) -> None:
    requests.post(f"{simulator.base_url}/_sim/dunning", json={"retries": [1, 2], "final": final}, timeout=5)
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    invoice = stripe_api.renew(customer, subscription.id)
    stripe_api.advance(customer, stripe_api.v1.invoices.retrieve(invoice.id).created + 4 * DAY)
    invoice = stripe_api.v1.invoices.retrieve(invoice.id)
    assert (invoice.attempt_count, invoice.next_payment_attempt, invoice.status) == (3, None, "open")
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == status
    if final == "cancel":
        assert stripe_api.v1.subscriptions.retrieve(subscription.id).cancellation_details.reason == "payment_failed"


def test_paying_the_most_recent_invoice_reactivates_an_unpaid_subscription(simulator: Running, stripe_api: StripeApi) -> None:
    requests.post(f"{simulator.base_url}/_sim/dunning", json={"retries": [1, 2], "final": "unpaid"}, timeout=5)
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    failed = stripe_api.renew(customer, subscription.id)
    stripe_api.advance(customer, failed.created + 4 * DAY)
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "unpaid"
    latest = stripe_api.renew(customer, subscription.id)
    assert (latest.status, latest.auto_advance) == ("draft", False)
    stripe_api.card(customer.id, "pm_card_visa")
    assert stripe_api.v1.invoices.pay(failed.id).status == "paid"
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "unpaid"
    assert stripe_api.v1.invoices.finalize_invoice(latest.id, {"auto_advance": False}).hosted_invoice_url
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "unpaid"
    assert stripe_api.v1.invoices.pay(latest.id).status == "paid"
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_a_past_due_subscription_ignores_the_renewals_draft(simulator: Running, stripe_api: StripeApi) -> None:
    requests.post(f"{simulator.base_url}/_sim/dunning", json={"retries": [1, 2], "final": "past_due"}, timeout=5)
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.card(customer.id, "pm_card_chargeCustomerFail")
    failed = stripe_api.renew(customer, subscription.id)
    stripe_api.advance(customer, stripe_api.end_of(subscription.id))
    assert stripe_api.latest(subscription.id).status == "draft"
    stripe_api.v1.invoices.pay(failed.id, {"payment_method": "pm_card_visa"})
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_a_clock_advances_at_most_two_intervals_and_never_back(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    stripe_api.subscribe(customer, stripe_api.price().id)
    for moment in (START - 1, START + 63 * DAY):
        with pytest.raises(stripe.InvalidRequestError):
            stripe_api.advance(customer, moment)
    stripe_api.advance(customer, START + 58 * DAY)
    assert len(stripe_api.v1.invoices.list({"customer": customer.id}).data) == 2


def test_a_cancellation_at_the_period_end_can_be_undone(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    going = stripe_api.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (going.status, going.cancel_at, going.canceled_at) == ("active", stripe_api.end_of(subscription.id), START)
    result = stripe_api.v1.events.list({"type": "customer.subscription.updated"}).data[0].data
    assert result["previous_attributes"]["cancel_at_period_end"] is False
    staying = stripe_api.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (staying.cancel_at, staying.canceled_at) == (None, None)
    stripe_api.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    stripe_api.advance(customer, stripe_api.end_of(subscription.id))
    gone = stripe_api.v1.subscriptions.retrieve(subscription.id)
    assert (gone.status, gone.ended_at) == ("canceled", stripe_api.end_of(subscription.id))
    assert stripe_api.event_types("customer.subscription")[-1] == "customer.subscription.deleted"
    assert len(stripe_api.v1.invoices.list({"customer": customer.id}).data) == 1


def test_cancel_at_uses_the_earliest_or_latest_period_end(stripe_api: StripeApi) -> None:
    yearly, monthly = stripe_api.price(9000, "year").id, stripe_api.price(100).id
    for requested, place in (({"cancel_at_period_end": True}, 1), ({"cancel_at": "max_period_end"}, 0)):
        customer = stripe_api.customer()
        subscription = stripe_api.subscribe(customer, yearly, monthly)
        going = stripe_api.v1.subscriptions.update(subscription.id, requested)
        assert going.cancel_at == subscription["items"].data[place].current_period_end


def test_an_immediate_cancellation_can_credit_unused_time(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.advance(customer, (START + stripe_api.end_of(subscription.id)) // 2)
    stripe_api.v1.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    assert stripe_api.v1.customers.retrieve(customer.id).balance == -500
    assert stripe_api.v1.subscriptions.list({"customer": customer.id}).data == []
    assert [each.id for each in stripe_api.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data] == [subscription.id]


def test_an_incomplete_subscription_expires_after_23_hours(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer("pm_card_authenticationRequired")
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    assert subscription.status == "incomplete"
    assert "invoice.payment_action_required" in stripe_api.event_types("invoice")
    intent = stripe_api.v1.payment_intents.list({"customer": customer.id}).data[0]
    assert post(intent.next_action.redirect_to_url.url, action="deny").status_code == 200
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "incomplete"
    stripe_api.advance(customer, START + DAY)
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "incomplete_expired"
    assert stripe_api.latest(subscription.id).status == "void"


def test_a_confirmed_payment_activates_the_subscription(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer("pm_card_authenticationRequired")
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    intent = stripe_api.v1.payment_intents.list({"customer": customer.id}).data[0]
    post(intent.next_action.redirect_to_url.url, action="authenticate")
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "active"


def test_payment_behaviors_of_the_first_invoice(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer("pm_card_chargeCustomerFail")
    price = stripe_api.price().id
    with pytest.raises(stripe.CardError):
        stripe_api.subscribe(customer, price, payment_behavior="error_if_incomplete")
    assert stripe_api.v1.subscriptions.list({"customer": customer.id, "status": "all"}).data == []
    waiting = stripe_api.subscribe(customer, price, payment_behavior="default_incomplete", expand=["latest_invoice.confirmation_secret"])
    assert waiting.status == "incomplete"
    assert "_secret_" in waiting.to_dict()["latest_invoice"]["confirmation_secret"]["client_secret"]


def test_deleting_a_customer_cancels_its_subscriptions(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.v1.customers.delete(customer.id)
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    assert stripe_api.event_types("customer.")[-2:] == ["customer.subscription.deleted", "customer.deleted"]


@pytest.mark.parametrize(("behavior", "status"), [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")])
def test_paused_collection_charges_nothing(stripe_api: StripeApi, behavior: str, status: str) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": behavior}})
    assert stripe_api.renew(customer, subscription.id).status == status
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).status == "active"


@pytest.mark.parametrize(("behavior", "status"), [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")])
def test_an_upgrade_while_collection_is_paused_is_not_charged(stripe_api: StripeApi, behavior: str, status: str) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    stripe_api.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": behavior}})
    item = {"id": subscription["items"].data[0].id, "price": stripe_api.price(3000).id}
    stripe_api.v1.subscriptions.update(subscription.id, {"items": [item], "proration_behavior": "always_invoice"})
    assert stripe_api.latest(subscription.id).status == status


def test_drafts_of_a_pause_remain_drafts_afterwards(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    pause = {"behavior": "keep_as_draft", "resumes_at": stripe_api.end_of(subscription.id) + DAY}
    stripe_api.v1.subscriptions.update(subscription.id, {"pause_collection": pause})
    draft = stripe_api.renew(customer, subscription.id)
    stripe_api.advance(customer, draft.created + 3 * DAY)
    assert stripe_api.v1.subscriptions.retrieve(subscription.id).pause_collection is None
    assert (stripe_api.latest(subscription.id).status, stripe_api.latest(subscription.id).auto_advance) == ("draft", False)


def test_collection_resumes_at_its_date(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer()
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    pause = {"behavior": "void", "resumes_at": START + 10 * DAY}
    stripe_api.v1.subscriptions.update(subscription.id, {"pause_collection": pause})
    assert stripe_api.renew(customer, subscription.id).status == "paid"


def test_an_incomplete_subscription_can_be_canceled(stripe_api: StripeApi) -> None:
    customer = stripe_api.customer("pm_card_chargeCustomerFail")
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    assert stripe_api.v1.subscriptions.cancel(subscription.id).status == "incomplete_expired"
    assert stripe_api.latest(subscription.id).status == "void"


def test_a_customer_can_be_attached_to_a_clock_later(simulator: Running, stripe_api: StripeApi) -> None:
    customer = stripe_api.v1.customers.create({"email": "later@example.com"})
    stripe_api.card(customer.id, "pm_card_visa")
    subscription = stripe_api.subscribe(customer, stripe_api.price().id)
    end = stripe_api.end_of(subscription.id)
    clock = stripe_api.v1.test_helpers.test_clocks.create({"frozen_time": end - 3_600})
    moved = requests.post(f"{simulator.base_url}/_sim/customers/{customer.id}/clock", json={"test_clock": clock.id}, timeout=5)
    assert moved.json()["test_clock"] == clock.id
    stripe_api.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": end + 3_660})
    assert amounts(stripe_api.latest(subscription.id)) == [1000]
    assert stripe_api.latest(subscription.id).status == "paid"
