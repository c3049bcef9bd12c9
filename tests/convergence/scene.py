"""Several organizations at the simulated Stripe, each on a clock of its own; and the whole of it kept at any moment, to come back to."""

from __future__ import annotations

import json
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
import stripe

from billing.models import PlanPrice
from tests.support.stripe import DAY, Stripe

OVER = ("canceled", "incomplete_expired")
CARD = {"cardExpiry": "12 / 34", "cardCvc": "123", "billingName": "Ann Example", "email": "ann@example.com"}


@dataclass
class Party:
    """An organization, and who it is at Stripe: `customers` are all it ever was, the last is the present one."""

    organization_id: str
    clock: str
    customers: list[str] = field(default_factory=list)

    @property
    def customer(self) -> str:
        return self.customers[-1]


class Discounts:
    """One of each kind: once, for two months, for ever; the first also by a code."""

    def __init__(self, world: Stripe) -> None:
        made = [
            world.sdk.coupons.create({"percent_off": 25, "duration": "once"}),
            world.sdk.coupons.create({"amount_off": 300, "currency": "usd", "duration": "repeating", "duration_in_months": 2}),
            world.sdk.coupons.create({"percent_off": 10, "duration": "forever"}),
        ]
        self.coupons = [coupon.id for coupon in made]
        world.sdk.promotion_codes.create({"code": "WELCOME", "promotion": {"type": "coupon", "coupon": made[0].id}})


class Scene:
    """What happens at Stripe, without the product."""

    def __init__(self, world: Stripe, organization_ids: list[str]) -> None:
        self.world = world
        self.sdk = world.sdk
        self.prices = {
            (row.plan_version.plan, row.interval): row.stripe_price_id
            for row in PlanPrice.objects.filter(current=True).select_related("plan_version")
        }
        self.codes = Discounts(world).coupons
        self.parties = [self._join(each) for each in organization_ids]
        self.refused = 0

    def _join(self, organization_id: str) -> Party:
        clock = self.sdk.test_helpers.test_clocks.create({"frozen_time": int(time.time())})
        party = Party(organization_id, clock.id)
        self.new_customer(party)
        return party

    def new_customer(self, party: Party) -> None:
        given = {"email": "ann@example.com", "test_clock": party.clock, "metadata": {"djstripe_subscriber": party.organization_id}}
        party.customers.append(self.sdk.customers.create(given).id)
        self.world.card(party.customer)

    # Looking

    def now(self, party: Party) -> int:
        return self.sdk.test_helpers.test_clocks.retrieve(party.clock).frozen_time

    def deleted(self, party: Party) -> bool:
        return bool(self.sdk.customers.retrieve(party.customer).get("deleted"))

    def subscriptions(self, party: Party) -> list[Any]:
        return self.sdk.subscriptions.list({"customer": party.customer, "status": "all", "limit": 100, "expand": ["data.schedule"]}).data

    def invoices(self, party: Party) -> list[Any]:
        return self.sdk.invoices.list({"customer": party.customer, "limit": 100}).data

    def charges(self, party: Party) -> list[Any]:
        return self.sdk.charges.list({"customer": party.customer, "limit": 100}).data

    # Doing

    @contextmanager
    def may_be_declined(self):
        """A refused card or a change that Stripe does not allow at present is part of a history."""
        try:
            yield
        except (stripe.CardError, stripe.InvalidRequestError):
            self.refused += 1

    def buy_on_page(self, party: Party, price: str, number: str, **data: Any) -> None:
        """Checkout as the product begins it, and its hosted page as a customer fills it in, the bank's question included."""
        session = self.sdk.checkout.sessions.create(
            {
                "mode": "subscription",
                "customer": party.customer,
                "line_items": [{"price": price, "quantity": 1}],
                "success_url": "http://localhost:3001/account/billing/return/?session_id={CHECKOUT_SESSION_ID}",
                "cancel_url": "http://localhost:3001/pricing/",
                "allow_promotion_codes": True,
                "subscription_data": data,
            }
        )
        for action in ("pay", "authenticate"):
            filled = {**CARD, "cardNumber": number, "action": action, "promotionCode": "WELCOME" if number.endswith("4242") else ""}
            answer = requests.post(session.url, data=filled, allow_redirects=False, timeout=30)
            assert answer.status_code < 500, answer.text
            if answer.is_redirect:
                return
        self.refused += 1

    def forward(self, party: Party, seconds: int) -> None:
        """Time goes on, at most two intervals at a time, as at Stripe."""
        target = self.now(party) + seconds
        while (present := self.now(party)) < target:
            self.world.advance(party.clock, to=min(target, present + 25 * DAY))

    # Coming back

    def photograph(self) -> bytes:
        with self.world.server.sim.store.lock:
            return zlib.compress(self.world.server.sim.store.db.serialize(), 1)

    def restore(self, photograph: bytes) -> None:
        """Stripe is again as it was then."""
        with self.world.server.sim.store.lock:
            self.world.server.sim.store.db.deserialize(zlib.decompress(photograph))

    def news(self) -> list[dict[str, Any]]:
        return self.world.news()


def plain(thing: Any) -> Any:
    return json.loads(str(thing))
