"""Updates that wait for their payment: `payment_behavior=pending_if_incomplete`."""

from typing import Any

import httpx
import pytest
import stripe
from simulator_fixtures import START, StripeApi
from test_changes import DAY, swap

HOUR = 3600
PENDING: dict[str, Any] = {"proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"}


class Waiting:
    """Return a subscription whose bank requires authentication for an upgrade from `cheap` to `dear`."""

    def __init__(self, stripe_api: StripeApi, card: str = "pm_card_authenticationRequired") -> None:
        self.stripe_api, self.customer = stripe_api, stripe_api.customer()
        self.cheap, self.dear = stripe_api.price(1000).id, stripe_api.price(2000).id
        self.id = stripe_api.subscribe(self.customer, self.cheap).id
        stripe_api.card(self.customer.id, card)
        stripe_api.advance(self.customer, START + DAY)
        self.mark = len(stripe_api.event_types())
        self.update = swap(stripe_api, self.id, self.dear, **PENDING)

    @property
    def now(self) -> stripe.Subscription:
        return self.stripe_api.v1.subscriptions.retrieve(self.id)

    @property
    def price(self) -> str:
        return self.now["items"].data[0].price.id

    @property
    def invoice(self) -> stripe.Invoice:
        return self.stripe_api.latest(self.id)

    def event_types(self) -> list[str]:
        return [kind for kind in self.stripe_api.event_types()[self.mark :] if kind.startswith(("customer.subscription", "invoice.voided"))]


def test_an_unconfirmed_payment_changes_nothing(stripe_api: StripeApi) -> None:
    waiting = Waiting(stripe_api)
    assert (waiting.update.status, waiting.price) == ("active", waiting.cheap)
    assert waiting.update.pending_update.expires_at == START + DAY + 23 * HOUR
    assert (waiting.invoice.status, waiting.invoice.next_payment_attempt) == ("open", None)
    assert not stripe_api.v1.customers.retrieve(waiting.customer.id).delinquent
    assert waiting.event_types() == ["customer.subscription.updated"]


def test_the_hosted_invoice_links_to_the_confirmation(stripe_api: StripeApi) -> None:
    waiting = Waiting(stripe_api)
    url = str(waiting.invoice.hosted_invoice_url)
    intent = stripe_api.v1.invoices.retrieve(str(waiting.invoice.id), {"expand": ["payments"]}).payments.data[0].payment.payment_intent
    assert f"/3ds/{intent}" in httpx.get(url).text
    done = httpx.post(f"{url.partition('/i/')[0]}/3ds/{intent}", data={"action": "authenticate"})
    assert (done.status_code, done.headers["location"]) == (303, url)
    assert (waiting.price, waiting.now.pending_update, waiting.invoice.status) == (waiting.dear, None, "paid")
    assert "customer.subscription.pending_update_applied" in waiting.event_types()
    assert "Confirm your payment" not in httpx.get(url).text


def test_a_declined_card_does_not_end_the_subscription(stripe_api: StripeApi) -> None:
    waiting = Waiting(stripe_api)
    for _ in range(3):
        with pytest.raises(stripe.CardError):
            stripe_api.v1.invoices.pay(
                str(waiting.invoice.id), {"payment_method": stripe_api.card(waiting.customer.id, "pm_card_chargeCustomerFail")}
            )
    assert (waiting.now.status, waiting.price) == ("active", waiting.cheap)
    assert waiting.now.pending_update


def test_voiding_the_invoice_discards_the_pending_update(stripe_api: StripeApi) -> None:
    waiting = Waiting(stripe_api)
    stripe_api.v1.invoices.void_invoice(str(waiting.invoice.id))
    assert (waiting.now.pending_update, waiting.price, waiting.now.status) == (None, waiting.cheap, "active")
    assert "customer.subscription.pending_update_applied" not in waiting.event_types()
    stripe_api.advance(waiting.customer, START + 3 * DAY)
    assert "customer.subscription.pending_update_expired" not in waiting.event_types()


def test_a_pending_update_expires_with_the_period_if_sooner(stripe_api: StripeApi) -> None:
    waiting = Waiting(stripe_api)
    stripe_api.v1.invoices.void_invoice(str(waiting.invoice.id))
    end = stripe_api.end_of(waiting.id)
    stripe_api.advance(waiting.customer, end - HOUR)
    # The price is so high that an hour of it can be charged. Less than 50 cents would move to the balance.
    assert swap(stripe_api, waiting.id, stripe_api.price(100_000).id, **PENDING).pending_update.expires_at == end
    stripe_api.advance(waiting.customer, end + HOUR // 2)
    assert (waiting.now.pending_update, waiting.price) == (None, waiting.cheap)
    assert waiting.invoice.billing_reason == "subscription_cycle"
    assert "customer.subscription.pending_update_expired" in waiting.event_types()


def test_another_change_replaces_the_pending_update(stripe_api: StripeApi) -> None:
    waiting = Waiting(stripe_api)
    first = str(waiting.invoice.id)
    dearer = stripe_api.price(3000).id
    changed = swap(stripe_api, waiting.id, dearer, **PENDING)
    assert changed.pending_update.subscription_items[0].price.id == dearer
    assert stripe_api.v1.invoices.retrieve(first).status == "void"
    assert waiting.invoice.id != first


def test_a_new_phase_discards_the_pending_update(stripe_api: StripeApi) -> None:
    waiting = Waiting(stripe_api)
    schedule = stripe_api.v1.subscription_schedules.create({"from_subscription": waiting.id})
    rows: Any = [{"price": waiting.cheap, "quantity": 1}]
    start, middle = schedule.phases[0].start_date, START + DAY + 2 * HOUR
    phases: Any = [{"items": rows, "start_date": start, "end_date": middle}, {"items": rows, "duration": {"interval": "month"}}]
    stripe_api.v1.subscription_schedules.update(schedule.id, {"phases": phases})
    assert waiting.now.pending_update
    stripe_api.advance(waiting.customer, middle + HOUR)
    assert (waiting.now.pending_update, waiting.price) == (None, waiting.cheap)
    assert "customer.subscription.pending_update_expired" in waiting.event_types()


@pytest.mark.parametrize(
    "more", [{"description": "x"}, {"cancel_at_period_end": True}, {"default_payment_method": ""}, {"items": [{"deleted": True}]}]
)
def test_unsupported_attributes_of_pending_updates_are_refused(stripe_api: StripeApi, more: dict[str, Any]) -> None:
    subscription = stripe_api.subscribe(stripe_api.customer(), stripe_api.price(1000).id)
    if "items" in more:
        more = {"items": [{"id": subscription["items"].data[0].id, "deleted": True}]}
    with pytest.raises(stripe.InvalidRequestError, match="supported attributes"):
        stripe_api.v1.subscriptions.update(subscription.id, {**PENDING, **more})
