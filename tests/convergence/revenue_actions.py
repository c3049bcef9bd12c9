"""What customers and staff do to subscriptions at Stripe, and when each action is possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from accounts.models import Organization
from tests.convergence.revenue_expected import REVENUE_STATUSES, Document
from tests.factories.billing import DECLINES
from tests.support.stripe import DAY, Stripe

# The price IDs by currency and name. Their order does not depend on the IDs, which are random.
Prices = dict[str, dict[str, str]]


@dataclass
class Buyer:
    organization: Organization
    customer: str
    clock: str
    currency: str
    documents: list[Document] = field(default_factory=list)  # the customer's subscriptions, as Stripe returns them

    def live(self) -> Document | None:
        return next((each for each in self.documents if each["status"] in REVENUE_STATUSES), None)


class StripeActions:
    """Requests to Stripe with random parameters."""

    def __init__(self, world: Stripe, prices: Prices, rng: Random) -> None:
        self.world, self.sdk, self.prices, self.rng = world, world.sdk, prices, rng
        terms: list[Any] = [
            {"percent_off": 25, "duration": "once"},
            {"percent_off": 33.3, "duration": "repeating", "duration_in_months": 3},
            {"percent_off": 10, "duration": "forever"},
        ]
        self.coupons = [self.sdk.coupons.create(each).id for each in terms]

    def amount_coupon(self, currency: str) -> str:
        months = self.rng.choice([1, 2])
        terms: Any = {"amount_off": 333, "currency": currency, "duration": "repeating", "duration_in_months": months}
        return self.sdk.coupons.create(terms).id

    def subscribe(self, buyer: Buyer, **more: Any) -> None:
        price = self.rng.choice(list(self.prices[buyer.currency].values()))
        quantity = self.rng.choice([1, 1, 2])
        params: Any = {"customer": buyer.customer, "items": [{"price": price, "quantity": quantity}], **more}
        self.sdk.subscriptions.create(params)

    def replace(self, buyer: Buyer, subscription: Document) -> None:
        self.sdk.subscriptions.cancel(subscription["id"])
        self.subscribe(buyer)

    def update(self, subscription: Document, **params: Any) -> None:
        changes: Any = params
        self.sdk.subscriptions.update(subscription["id"], changes)

    def change_item(self, subscription: Document, **change: Any) -> None:
        item = subscription["items"]["data"][0]["id"]
        behavior = self.rng.choice(["none", "create_prorations", "always_invoice"])
        self.update(subscription, items=[{"id": item, **change}], proration_behavior=behavior)

    def other_price(self, buyer: Buyer, subscription: Document) -> str:
        current = subscription["items"]["data"][0]["price"]["id"]
        return self.rng.choice([price for price in self.prices[buyer.currency].values() if price != current])

    def refund(self, buyer: Buyer, share: int) -> None:
        """Refund the newest charge, divided by `share`, unless something of it was refunded before."""
        charges = self.sdk.charges.list({"customer": buyer.customer, "limit": 1}).data
        if charges and charges[0].paid and charges[0].amount_refunded == 0:
            self.sdk.refunds.create({"charge": charges[0].id, "amount": max(1, charges[0].amount // share)})

    def two_coupons(self, buyer: Buyer, subscription: Document) -> None:
        first, second = self.rng.choice(self.coupons[1:]), self.amount_coupon(buyer.currency)
        self.update(subscription, discounts=[{"coupon": first}, {"coupon": second}])

    def pause(self, subscription: Document, behavior: str, resumes_at: int | None = None) -> None:
        until = {} if resumes_at is None else {"resumes_at": resumes_at}
        self.update(subscription, pause_collection={"behavior": behavior, **until})

    def time(self, buyer: Buyer) -> int:
        return self.sdk.test_helpers.test_clocks.retrieve(buyer.clock).frozen_time


@dataclass(frozen=True)
class Action:
    name: str
    is_possible: Callable[[Buyer], bool]
    perform: Callable[[StripeActions, Buyer, Any], object]  # the document is that of `Buyer.live`


def _is(*statuses: str) -> Callable[[Buyer], bool]:
    return lambda buyer: (buyer.live() or {"status": ""})["status"] in statuses


def _has(name: str) -> Callable[[Buyer], bool]:
    return lambda buyer: bool((buyer.live() or {name: None})[name])


def _is_free(buyer: Buyer) -> bool:
    return buyer.live() is None


def _is_collecting(buyer: Buyer) -> bool:
    return _is("active")(buyer) and not _has("pause_collection")(buyer)


def _change_currency(buyer: Buyer) -> None:
    buyer.currency = {"usd": "eur", "eur": "usd"}[buyer.currency]


ACTIONS = [
    Action("subscribes", _is_free, lambda do, buyer, _: do.subscribe(buyer)),
    Action("starts a trial", _is_free, lambda do, buyer, _: do.subscribe(buyer, trial_period_days=do.rng.choice([3, 14]))),
    Action(
        "subscribes with a coupon", _is_free, lambda do, buyer, _: do.subscribe(buyer, discounts=[{"coupon": do.rng.choice(do.coupons)}])
    ),
    Action("changes the plan", _is("active", "trialing"), lambda do, buyer, live: do.change_item(live, price=do.other_price(buyer, live))),
    Action("changes the quantity", _is("active", "trialing"), lambda do, _, live: do.change_item(live, quantity=do.rng.choice([1, 3, 7]))),
    Action("gets two coupons", _is("active"), lambda do, buyer, live: do.two_coupons(buyer, live)),
    Action("gets a coupon for one invoice", _is_collecting, lambda do, _, live: do.update(live, discounts=[{"coupon": do.coupons[0]}])),
    Action("loses its discounts", _has("discounts"), lambda do, _, live: do.update(live, discounts="")),
    Action("is refunded in part", _is("active"), lambda do, buyer, _: do.refund(buyer, share=2)),
    Action("is refunded in full", _is("active"), lambda do, buyer, _: do.refund(buyer, share=1)),
    Action("is paused until a date", _is_collecting, lambda do, buyer, live: do.pause(live, "void", do.time(buyer) + 5 * DAY + 3600)),
    Action("is paused", _is_collecting, lambda do, _, live: do.pause(live, "mark_uncollectible")),
    Action("resumes", _has("pause_collection"), lambda do, _, live: do.update(live, pause_collection="")),
    Action(
        "gets free days",
        _is_collecting,
        lambda do, buyer, live: do.update(live, trial_end=do.time(buyer) + 9 * DAY, proration_behavior="none"),
    ),
    Action("cancels now", _is("active", "past_due", "trialing"), lambda do, _, live: do.sdk.subscriptions.cancel(live["id"])),
    Action("cancels at the end", _is("active", "trialing"), lambda do, _, live: do.update(live, cancel_at_period_end=True)),
    Action("withdraws the cancellation", _has("cancel_at_period_end"), lambda do, _, live: do.update(live, cancel_at_period_end=False)),
    Action("is replaced within a day", _is("active"), lambda do, buyer, live: do.replace(buyer, live)),
    Action("the card starts failing", _is("active"), lambda do, buyer, _: do.world.card(buyer.customer, DECLINES)),
    Action("replaces the card", _is("active", "past_due"), lambda do, buyer, _: do.world.card(buyer.customer)),
    Action("changes its currency", _is_free, lambda _do, buyer, _: _change_currency(buyer)),
]
