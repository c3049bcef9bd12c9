"""Plans, customers on test clocks, and helpers that fill in the hosted pages."""

from datetime import UTC, datetime
from typing import Any

import requests
import stripe

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
CARD = {"cardNumber": "4242 4242 4242 4242", "cardExpiry": "12 / 34", "cardCvc": "123", "billingName": "Ann Example"}


class StripeApi:
    def __init__(self, client: stripe.StripeClient) -> None:
        self.client = client
        self.v1 = client.v1

    def price(self, amount: int | None = 1000, interval: str = "month", name: str = "Pro", **more: Any) -> stripe.Price:
        product = self.v1.products.create({"name": name})
        recurring = {"interval": interval, **more.pop("recurring", {})}
        params = {"product": product.id, "currency": "usd", "recurring": recurring, **more}
        if amount is not None:
            params["unit_amount"] = amount
        return self.v1.prices.create(params)

    def meter(self, formula: str = "sum", name: str = "sessions") -> stripe.billing.Meter:
        return self.v1.billing.meters.create({"display_name": name, "event_name": name, "default_aggregation": {"formula": formula}})

    def customer(self, card: str | None = "pm_card_visa", *, at: int = START, **more: Any) -> stripe.Customer:
        """A customer on a test clock, with a card."""
        clock = self.v1.test_helpers.test_clocks.create({"frozen_time": at})
        customer = self.v1.customers.create({"email": "ann@example.com", "test_clock": clock.id, **more})
        if card:
            self.card(customer.id, card)
        return self.v1.customers.retrieve(customer.id)

    def card(self, customer: str, card: str) -> str:
        method = self.v1.payment_methods.attach(card, {"customer": customer})
        self.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
        return method.id

    def subscribe(self, customer: stripe.Customer, *prices: str, **more: Any) -> stripe.Subscription:
        return self.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price} for price in prices], **more})

    def advance(self, owner: stripe.Customer, to: int) -> None:
        clock = str(owner.test_clock)
        self.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": to})
        assert self.v1.test_helpers.test_clocks.retrieve(clock).status == "ready"

    def end_of(self, subscription: str) -> int:
        """Return the end of the first item's period."""
        return self.v1.subscriptions.retrieve(subscription)["items"].data[0].current_period_end

    def renew(self, owner: stripe.Customer, subscription: str) -> stripe.Invoice:
        """Advance past the period's end and the hour after which the draft is finalized."""
        end = self.end_of(subscription)
        self.advance(owner, end)
        self.advance(owner, end + 3_660)
        return self.latest(subscription)

    def latest(self, subscription: str) -> stripe.Invoice:
        result = self.v1.subscriptions.retrieve(subscription, {"expand": ["latest_invoice"]}).latest_invoice
        assert isinstance(result, stripe.Invoice)
        return result

    def event_types(self, *about: str) -> list[str]:
        """Return the types of the events, oldest first; with `about`, only those that begin with one of these."""
        events = [event.type for event in self.v1.events.list({"limit": 100}).auto_paging_iter()][::-1]
        return [kind for kind in events if not about or kind.startswith(about)]

    def checkout(self, price: str, **more: Any) -> stripe.checkout.Session:
        line: dict[str, Any] = {"price": price, "quantity": 1}
        params = {"mode": "subscription", "line_items": [line], "success_url": "http://stripe_api.test/done?session={CHECKOUT_SESSION_ID}"}
        return self.v1.checkout.sessions.create({**params, "cancel_url": "http://stripe_api.test/plans", **more})


def post(url: str, **fields: str) -> requests.Response:
    """Submit the form of a hosted page without following the redirect."""
    return requests.post(url, data=fields, allow_redirects=False, timeout=10)


def pay(url: str, number: str = CARD["cardNumber"], **fields: str) -> requests.Response:
    return post(url, **{**CARD, "email": "ann@example.com", "cardNumber": number, **fields})


def amounts(invoice: stripe.Invoice) -> list[int]:
    return [line.amount for line in invoice.lines.data]
