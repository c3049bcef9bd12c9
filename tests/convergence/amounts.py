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
    beside: int = 0  # with another item on the same subscription
    free_days: int = 0  # made during free days
    planned: int = 0
    renewed: int = 0
    total: int = 0
    wrong: list[str] = field(default_factory=list)


def compare(world: Stripe, changes: int, seed: int) -> Amounts:
    """Make this many changes through the API, each previewed first."""
    found, dice, coupons, foreign = Amounts(), Random(seed), Discounts(world).coupons, foreign_prices(world)
    for number in numbers():
        if found.changes >= changes:
            return found
        _Subscriber(world, dice, coupons, foreign, found, f"{seed}-{number}").change(min(CHANGES_EACH, changes - found.changes))
    raise AssertionError("unreachable")


class _Subscriber:
    def __init__(self, world: Stripe, dice: Random, coupons: list[str], foreign: list[str], found: Amounts, name: str) -> None:
        self.world, self.dice, self.found, self.name = world, dice, found, name
        organization = OrganizationFactory(owner=UserFactory())
        self.owner = Person(organization.memberships.select_related("organization", "user").get())
        customer = str(customers.ensure_customer(organization, None).stripe_customer_id)
        world.card(customer)
        # Anywhere in four years, so that the ends of months and the leap day occur.
        start = int(time.time()) + dice.randrange(4 * 365 * DAY)
        self.payer = Payer(world, organization, customer, world.attach_test_clock(customer, start))
        self.plan = dice.choice(PAID[:3])
        if dice.random() < 0.25:
            # A subscription to another product. Its invoices use the customer's credit too; they come some hours before the plan's.
            world.subscribe(customer, dice.choice(foreign))
            world.advance(self.payer.clock, to=start + 3 * HOUR)
        self.coupons = dice.sample(coupons, dice.choice([1, 1, 2])) if dice.random() < 0.35 else []
        self.quantity = dice.choice([1, 1, 1, 5])
        items = [{"price": price_of(*self.plan), "quantity": self.quantity}]
        self.beside = dice.choice(foreign[:2]) if self.plan[1] == "month" and dice.random() < 0.25 else ""
        given = {"discounts": [{"coupon": each} for each in self.coupons], "metadata": arbitrary_metadata(dice)}
        items += [{"price": self.beside, "quantity": 2}] if self.beside else []
        self.subscription = world.sdk.subscriptions.create({"customer": customer, "items": items, **given}).id
        self.api = Api()
        sync_customer(customer)

    def change(self, times: int) -> None:
        for _ in range(times):
            days = self.dice.choice([self.dice.uniform(0.01, 28), self.dice.uniform(0.01, 55)])
            self.world.advance(self.payer.clock, to=self._now() + int(days * DAY))
            self._staff()
            sync_customer(self.payer.customer)
            wanted = self.dice.choice([each for each in PAID if each != self.plan])
            self.found.changes += 1
            if not self._change(wanted):
                return

    def _staff(self) -> None:
        """What staff do meanwhile, in the admin and in Stripe's dashboard."""
        update, luck = self.world.sdk.subscriptions.update, self.dice.random()
        if self.found.changes >= 5 and not self.found.free_days:
            luck = 0.35  # Free days must occur whatever the seed and the day.
        if luck < 0.15:
            self.quantity = self.dice.choice([1, 2, 7])
            update(self.subscription, {"items": [{"id": self._items()[0].id, "quantity": self.quantity}], "proration_behavior": "none"})
        elif luck < 0.3:
            update(self.subscription, {"metadata": arbitrary_metadata(self.dice, [str(self.payer.organization.pk)])})
        elif luck < 0.4:
            update(self.subscription, {"trial_end": self._now() + self.dice.randrange(3, 20) * DAY, "proration_behavior": "none"})
        elif luck < 0.5:
            plan, until = self.dice.choice(["pro", "enterprise"]), now(self.payer.organization) + timedelta(days=30)
            EntitlementsManager(self.payer.organization).grant(plan, Source.GIFT, reason="outage", ends_at=until)

    def _items(self) -> list[Any]:
        return self.world.sdk.subscriptions.retrieve(self.subscription)["items"].data

    def _now(self) -> int:
        return self.world.sdk.test_helpers.test_clocks.retrieve(self.payer.clock).frozen_time

    def _change(self, wanted: tuple[str, str]) -> bool:
        body = {"planTier": wanted[0], "interval": wanted[1]}
        told = self._post("preview-change", body)
        if told is None:
            return False
        before, trialing = self._newest().id, told["when"] == "now" and told["prorationDate"] is None
        if self._post("change-plan", body | {"prorationDate": told["prorationDate"]}) is None:
            return False
        what = f"{self.name}: {self.quantity} times {self.plan} to {wanted} with {self.coupons} beside {self.beside or 'nothing'}"
        self.found.beside += bool(self.beside)
        if told["when"] == "now":
            if trialing:
                self._during_free_days(what, told, before)
            else:
                self._at_once(what, told, before)
            self.plan = wanted
            if wanted[1] == "month" and self.dice.random() < RENEWED:
                self._renewed(what, told)
            return True
        self._planned(what, told, before)
        return False

    def _at_once(self, what: str, told: dict[str, Any], before: str) -> None:
        bill = self._newest()
        row = Invoice.objects.get(stripe_invoice_id=bill.id)
        said = (told["dueNow"], told["credit"], [line["amount"] for line in told["lines"]])
        billed = (max(0, bill.amount_due), max(0, -bill.total), [line.amount for line in bill.lines.data])
        if bill.id == before or said != billed or (row.total, row.amount_due) != (bill.total, bill.amount_due):
            self.found.wrong.append(f"{what}: previewed {said}, billed {billed}, kept {row.total} {row.amount_due}")
        self.found.at_once += 1
        self.found.credited += bill.total < 0
        self.found.discounted += bool(bill.total_discount_amounts)
        self.found.total += bill.total

    def _during_free_days(self, what: str, told: dict[str, Any], before: str) -> None:
        if told["dueNow"] or told["credit"] or told["lines"] or self._newest().id != before:
            self.found.wrong.append(f"{what}: a change in free days cost {told['dueNow']}")
        self.found.free_days += 1

    def _planned(self, what: str, told: dict[str, Any], before: str) -> None:
        """Nothing is billed now; at the period's end the announced amount is, including discounts and quantity."""
        if told["dueNow"] or told["lines"] or self._newest().id != before:
            self.found.wrong.append(f"{what}: a change that is to come cost {told['dueNow']}")
        self.found.planned += 1
        self._renewed(what, told)

    def _renewed(self, what: str, told: dict[str, Any]) -> None:
        """At the period's end, the amount announced by the preview, the page and the emails is billed."""
        end = self._items()[0].current_period_end
        self._wait(end - HOUR)
        sync_customer(self.payer.customer)
        payment = BillingManager(self.payer.organization).next_payment()
        self._wait(end + 2 * HOUR)
        bill = self._newest()
        said = (told["nextAmount"], payment and (payment.amount, payment.discount, payment.tax))
        discount = sum(each.amount for each in bill.total_discount_amounts or [])
        if said != (bill.total, (bill.amount_due, discount, 0)):
            self.found.wrong.append(f"{what}: {said} announced, {bill.total} ({bill.amount_due}, {discount}) billed at the period's end")
        self.found.renewed += 1
        self.found.total += bill.total

    def _wait(self, until: int) -> None:
        while self._now() < until:
            self.world.advance(self.payer.clock, to=min(until, self._now() + 50 * DAY))

    def _newest(self) -> Any:
        return self.world.sdk.subscriptions.retrieve(self.subscription, {"expand": ["latest_invoice"]}).latest_invoice

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        answer = self.api.post(f"/api/billing/{path}", body, by=self.owner)
        if answer.status_code != 200:
            self.found.wrong.append(f"{self.name}: {path} {body} from {self.plan}: {answer.status_code} {answer.content.decode()[:300]}")
            return None
        found: dict[str, Any] = answer.json()
        return found
