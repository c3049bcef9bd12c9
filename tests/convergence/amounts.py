"""Change plans at random times, and compare the previews with what Stripe bills."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count as numbers
from random import Random
from typing import Any

from billing import customers
from billing.manager import BillingManager
from billing.models import Invoice
from billing.sync.customer import sync_customer
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.types import Source
from tests.convergence.dashboard import arbitrary_metadata
from tests.convergence.stripe_fixture import Discounts, foreign_prices
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.billing import Payer, price_of
from tests.support.api import Api
from tests.support.stripe import DAY, Stripe

PAID = [("pro", "month"), ("pro", "year"), ("enterprise", "month"), ("enterprise", "year")]
CHANGES_EACH = 4
HOUR = 3600
RENEWED = 0.3  # share of immediate changes after which the next renewal is compared too


@dataclass
class Amounts:
    """The number of compared changes by kind, and the mismatches."""

    changes: int = 0
    at_once: int = 0
    credited: int = 0
    discounted: int = 0
    with_other_item: int = 0
    free_days: int = 0  # made during free days
    planned: int = 0
    renewed: int = 0
    total: int = 0
    failures: list[str] = field(default_factory=list)


def compare(world: Stripe, changes: int, seed: int) -> Amounts:
    """Make this many changes through the API, each previewed first."""
    result, rng, coupons, foreign = Amounts(), Random(seed), Discounts(world).coupons, foreign_prices(world)
    for number in numbers():
        if result.changes >= changes:
            return result
        _Subscriber(world, rng, coupons, foreign, result, f"{seed}-{number}").change(min(CHANGES_EACH, changes - result.changes))
    raise AssertionError("unreachable")


class _Subscriber:
    def __init__(self, world: Stripe, rng: Random, coupons: list[str], foreign: list[str], result: Amounts, name: str) -> None:
        self.world, self.rng, self.result, self.name = world, rng, result, name
        organization = OrganizationFactory(owner=UserFactory())
        self.owner = Person(organization.memberships.select_related("organization", "user").get())
        customer = str(customers.ensure_customer(organization, None).stripe_customer_id)
        world.card(customer)
        # Start at a random time within four years, so that ends of months and the leap day occur.
        start = int(time.time()) + rng.randrange(4 * 365 * DAY)
        self.payer = Payer(world, organization, customer, world.attach_test_clock(customer, start))
        self.plan = rng.choice(PAID[:3])
        if rng.random() < 0.25:
            # A subscription to another product. Its invoices are some hours before those of the plan and use the customer's credit too.
            world.subscribe(customer, rng.choice(foreign))
            world.advance(self.payer.clock, to=start + 3 * HOUR)
        self.coupons = rng.sample(coupons, rng.choice([1, 1, 2])) if rng.random() < 0.35 else []
        self.quantity = rng.choice([1, 1, 1, 5])
        items = [{"price": price_of(*self.plan), "quantity": self.quantity}]
        self.other_price = rng.choice(foreign[:2]) if self.plan[1] == "month" and rng.random() < 0.25 else ""
        params: Any = {"discounts": [{"coupon": each} for each in self.coupons], "metadata": arbitrary_metadata(rng)}
        items += [{"price": self.other_price, "quantity": 2}] if self.other_price else []
        params |= {"customer": customer, "items": items}
        self.subscription = world.sdk.subscriptions.create(params).id
        self.api = Api()
        sync_customer(customer)

    def change(self, times: int) -> None:
        for _ in range(times):
            days = self.rng.choice([self.rng.uniform(0.01, 28), self.rng.uniform(0.01, 55)])
            self.world.advance(self.payer.clock, to=self._now() + int(days * DAY))
            self._staff()
            sync_customer(self.payer.customer)
            expected = self.rng.choice([each for each in PAID if each != self.plan])
            self.result.changes += 1
            if not self._change(expected):
                return

    def _staff(self) -> None:
        """Make a random change of staff, in the admin or in Stripe's dashboard."""
        update, draw = self.world.sdk.subscriptions.update, self.rng.random()
        if self.result.changes >= 5 and not self.result.free_days:
            draw = 0.35  # Free days must occur with every seed and on every day.
        if draw < 0.15:
            self.quantity = self.rng.choice([1, 2, 7])
            update(self.subscription, {"items": [{"id": self._items()[0].id, "quantity": self.quantity}], "proration_behavior": "none"})
        elif draw < 0.3:
            update(self.subscription, {"metadata": arbitrary_metadata(self.rng, [str(self.payer.organization.pk)])})
        elif draw < 0.4:
            update(self.subscription, {"trial_end": self._now() + self.rng.randrange(3, 20) * DAY, "proration_behavior": "none"})
        elif draw < 0.5:
            plan, until = self.rng.choice(["pro", "enterprise"]), now(self.payer.organization) + timedelta(days=30)
            EntitlementsManager(self.payer.organization).grant(plan, Source.GIFT, reason="outage", ends_at=until)

    def _items(self) -> list[Any]:
        return list(self.world.sdk.subscriptions.retrieve(self.subscription)["items"].data)

    def _now(self) -> int:
        return self.world.sdk.test_helpers.test_clocks.retrieve(self.payer.clock).frozen_time

    def _change(self, expected: tuple[str, str]) -> bool:
        body = {"planTier": expected[0], "interval": expected[1]}
        result = self._post("preview-change", body)
        if result is None:
            return False
        before, trialing = self._newest().id, result["when"] == "now" and result["prorationDate"] is None
        if self._post("change-plan", body | {"prorationDate": result["prorationDate"]}) is None:
            return False
        what = f"{self.name}: {self.quantity} times {self.plan} to {expected} with {self.coupons} beside {self.other_price or 'nothing'}"
        self.result.with_other_item += bool(self.other_price)
        if result["when"] == "now":
            if trialing:
                self._during_free_days(what, result, before)
            else:
                self._at_once(what, result, before)
            self.plan = expected
            if expected[1] == "month" and self.rng.random() < RENEWED:
                self._renewed(what, result)
            return True
        self._planned(what, result, before)
        return False

    def _at_once(self, what: str, result: dict[str, Any], before: str) -> None:
        bill = self._newest()
        row = Invoice.objects.get(stripe_invoice_id=bill.id)
        output = (result["dueNow"], result["credit"], [line["amount"] for line in result["lines"]])
        billed = (max(0, bill.amount_due), max(0, -bill.total), [line.amount for line in bill.lines.data])
        if bill.id == before or output != billed or (row.total, row.amount_due) != (bill.total, bill.amount_due):
            self.result.failures.append(f"{what}: previewed {output}, billed {billed}, mirrored {row.total} {row.amount_due}")
        self.result.at_once += 1
        self.result.credited += bill.total < 0
        self.result.discounted += bool(bill.total_discount_amounts)
        self.result.total += bill.total

    def _during_free_days(self, what: str, result: dict[str, Any], before: str) -> None:
        if result["dueNow"] or result["credit"] or result["lines"] or self._newest().id != before:
            self.result.failures.append(f"{what}: a change in free days cost {result['dueNow']}")
        self.result.free_days += 1

    def _planned(self, what: str, result: dict[str, Any], before: str) -> None:
        """Check that nothing is billed now, and the announced amount at the period's end, including discounts and quantity."""
        if result["dueNow"] or result["lines"] or self._newest().id != before:
            self.result.failures.append(f"{what}: a scheduled change cost {result['dueNow']}")
        self.result.planned += 1
        self._renewed(what, result)

    def _renewed(self, what: str, result: dict[str, Any]) -> None:
        """Check that the amount announced by the preview, the page and the emails is billed at the period's end."""
        end = self._items()[0].current_period_end
        self._wait(end - HOUR)
        sync_customer(self.payer.customer)
        payment = BillingManager(self.payer.organization).next_payment()
        self._wait(end + 2 * HOUR)
        bill = self._newest()
        output = (result["nextAmount"], payment and (payment.amount, payment.discount, payment.tax))
        discount = sum(each.amount for each in bill.total_discount_amounts or [])
        if output != (bill.total, (bill.amount_due, discount, 0)):
            self.result.failures.append(
                f"{what}: {output} announced, {bill.total} ({bill.amount_due}, {discount}) billed at the period's end"
            )
        self.result.renewed += 1
        self.result.total += bill.total

    def _wait(self, until: int) -> None:
        while self._now() < until:
            self.world.advance(self.payer.clock, to=min(until, self._now() + 50 * DAY))

    def _newest(self) -> Any:
        return self.world.sdk.subscriptions.retrieve(self.subscription, {"expand": ["latest_invoice"]}).latest_invoice

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        answer = self.api.post(f"/api/billing/{path}", body, by=self.owner)
        if answer.status_code != 200:
            self.result.failures.append(
                f"{self.name}: {path} {body} from {self.plan}: {answer.status_code} {answer.content.decode()[:300]}"
            )
            return None
        data: dict[str, Any] = answer.json()
        return data
