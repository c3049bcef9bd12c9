"""Several organizations at the simulator, each on its own clock, with snapshots of the whole state that can be restored."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
import stripe

from billing.models import PlanPrice
from tests.support.stripe import DAY, Stripe

ENDED = ("canceled", "incomplete_expired")
CARD = {"cardExpiry": "12 / 34", "cardCvc": "123", "billingName": "Ann Example", "email": "ann@example.com"}


@dataclass(frozen=True)
class Gift:
    """A grant by staff. Times are Unix timestamps; `ended_at` is when staff ended it early."""

    reference: str
    plan: str
    source: str
    starts_at: int
    ends_at: int | None
    ended_at: int | None = None

    def is_active(self, at: int) -> bool:
        over = min((end for end in (self.ends_at, self.ended_at) if end is not None), default=None)
        return self.starts_at <= at and (over is None or at < over)


@dataclass
class Tenant:
    """An organization and its customers at Stripe, of which the last is the current one.

    `gifts` are keyed by reference. `deleted_at` is when its customer was deleted, if it has no other since.
    """

    organization_id: str
    clock: str
    customers: list[str] = field(default_factory=list)
    gifts: dict[str, Gift] = field(default_factory=dict)
    deleted_at: int | None = None

    @property
    def customer(self) -> str:
        return self.customers[-1]


class Discounts:
    """Create one coupon of each kind: once, for two months, forever; the first one also with a code."""

    def __init__(self, world: Stripe) -> None:
        created = [
            world.sdk.coupons.create({"percent_off": 25, "duration": "once"}),
            world.sdk.coupons.create({"amount_off": 300, "currency": "usd", "duration": "repeating", "duration_in_months": 2}),
            world.sdk.coupons.create({"percent_off": 10, "duration": "forever"}),
        ]
        self.coupons = [coupon.id for coupon in created]
        world.sdk.promotion_codes.create({"code": "WELCOME", "promotion": {"type": "coupon", "coupon": created[0].id}})


def recurring_price(world: Stripe, product: str, amount: int, interval: str = "month") -> str:
    params: Any = {"product": product, "unit_amount": amount, "currency": "usd", "recurring": {"interval": interval}}
    return world.sdk.prices.create(params).id


def foreign_prices(world: Stripe) -> list[str]:
    """Create the prices of another product: two monthly ones and a yearly one."""
    product = world.sdk.products.create({"name": "Support contract"}).id
    return [
        recurring_price(world, product, 50_000),
        recurring_price(world, product, 1_999),
        recurring_price(world, product, 90_000, "year"),
    ]


class Scenario:
    """Stripe's side, without the product."""

    def __init__(self, world: Stripe, organization_ids: list[str]) -> None:
        self.world = world
        self.sdk = world.sdk
        self.prices = {
            (row.plan_version.plan, row.interval): row.stripe_price_id
            for row in PlanPrice.objects.filter(current=True).select_related("plan_version")
        }
        # every price that grants a plan, by its ID at Stripe
        self.plans = {price: plan for (plan, interval), price in self.prices.items() if interval != "overage"} | self._special_offers()
        self.foreign = foreign_prices(world)
        self.codes = Discounts(world).coupons
        self.tenants = [self._join(each) for each in organization_ids]
        self.refused = 0

    def _special_offers(self) -> dict[str, str]:
        """Create unpublished prices of plans: one of a plan's own product, and one whose product names the plan."""
        pro = str(self.sdk.prices.retrieve(self.prices["pro", "month"]).product)
        enterprise = self.sdk.products.create({"name": "Special offer", "metadata": {"contextmcp_plan": "enterprise"}}).id
        return {recurring_price(self.world, pro, 700): "pro", recurring_price(self.world, enterprise, 2500): "enterprise"}

    def _join(self, organization_id: str) -> Tenant:
        clock = self.sdk.test_helpers.test_clocks.create({"frozen_time": int(time.time())})
        tenant = Tenant(organization_id, clock.id)
        self.new_customer(tenant)
        return tenant

    def new_customer(self, tenant: Tenant) -> None:
        params: Any = {"email": "ann@example.com", "test_clock": tenant.clock, "metadata": {"djstripe_subscriber": tenant.organization_id}}
        tenant.customers.append(self.sdk.customers.create(params).id)
        tenant.deleted_at = None
        self.world.card(tenant.customer)

    # Queries

    def now(self, tenant: Tenant) -> int:
        return self.sdk.test_helpers.test_clocks.retrieve(tenant.clock).frozen_time

    def moment(self, tenant: Tenant) -> int:
        """Return the current time for the organization. The clock of a deleted customer is unknown."""
        return self.now(tenant) if tenant.deleted_at is None else tenant.deleted_at

    def deleted(self, tenant: Tenant) -> bool:
        return bool(self.sdk.customers.retrieve(tenant.customer).to_dict().get("deleted"))

    def subscriptions(self, tenant: Tenant) -> list[Any]:
        return self.sdk.subscriptions.list({"customer": tenant.customer, "status": "all", "limit": 100, "expand": ["data.schedule"]}).data

    def invoices(self, tenant: Tenant) -> list[Any]:
        return self.sdk.invoices.list({"customer": tenant.customer, "limit": 100}).data

    def charges(self, tenant: Tenant) -> list[Any]:
        expanded = ["data.failure_balance_transaction"]
        return self.sdk.charges.list({"customer": tenant.customer, "limit": 100, "expand": expanded}).data

    def balance(self, tenant: Tenant) -> int:
        return int(self.sdk.customers.retrieve(tenant.customer).to_dict().get("balance") or 0)

    # Changes

    @contextmanager
    def may_be_declined(self) -> Iterator[None]:
        """Ignore declined cards and changes that Stripe does not allow at the moment, which are part of a history."""
        try:
            yield
        except (stripe.CardError, stripe.InvalidRequestError):
            self.refused += 1

    def buy_on_page(self, tenant: Tenant, price: str, number: str, **data: Any) -> None:
        """Start Checkout as the product does, and complete its hosted page, including authentication."""
        params: Any = {
            "mode": "subscription",
            "customer": tenant.customer,
            "line_items": [{"price": price, "quantity": 1}],
            "success_url": "http://localhost:3001/account/billing/return/?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://localhost:3001/pricing/",
            "allow_promotion_codes": True,
            "subscription_data": data,
        }
        session = self.sdk.checkout.sessions.create(params)
        assert session.url
        for action in ("pay", "authenticate"):
            filled = {**CARD, "cardNumber": number, "action": action, "promotionCode": "WELCOME" if number.endswith("4242") else ""}
            answer = requests.post(session.url, data=filled, allow_redirects=False, timeout=30)
            assert answer.status_code < 500, answer.text
            if answer.is_redirect:
                return
        self.refused += 1

    def forward(self, tenant: Tenant, seconds: int) -> None:
        """Advance time, at most two intervals per call, as at Stripe."""
        target = self.now(tenant) + seconds
        while (present := self.now(tenant)) < target:
            self.world.advance(tenant.clock, to=min(target, present + 25 * DAY))

    # Restoring

    def dump_state(self) -> bytes:
        with self.world.server.sim.store.lock:
            return zlib.compress(self.world.server.sim.store.db.serialize(), 1)

    def restore(self, state: bytes) -> None:
        """Restore Stripe's state."""
        with self.world.server.sim.store.lock:
            self.world.server.sim.store.db.deserialize(zlib.decompress(state))

    def new_events(self) -> list[dict[str, Any]]:
        return self.world.new_events()


def plain(thing: Any) -> Any:
    return json.loads(str(thing))
