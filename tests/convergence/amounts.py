"""Changes of plan at random moments: what the preview says, and what Stripe then bills."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import count as numbers
from random import Random
from typing import Any

from billing.models import Invoice
from billing.services import customers
from billing.services.sync import sync_customer
from tests.convergence.scene import Discounts
from tests.factories.accounts import OrganizationFactory, Person, UserFactory
from tests.factories.billing import Payer, price_of
from tests.support.api import Api
from tests.support.stripe import DAY, Stripe

PAID = [("pro", "month"), ("pro", "year"), ("enterprise", "month"), ("enterprise", "year")]
CHANGES_EACH = 4


@dataclass
class Amounts:
    """How many changes were compared, of which kinds, and what did not agree."""

    changes: int = 0
    at_once: int = 0
    credited: int = 0
    discounted: int = 0
    planned: int = 0
    total: int = 0
    wrong: list[str] = field(default_factory=list)


def compare(world: Stripe, changes: int, seed: int) -> Amounts:
    """Make that many changes through the API, each previewed first."""
    found, dice, coupons = Amounts(), Random(seed), Discounts(world).coupons
    for number in numbers():
        if found.changes >= changes:
            return found
        _Subscriber(world, dice, coupons, found, f"{seed}-{number}").change(min(CHANGES_EACH, changes - found.changes))
    raise AssertionError("unreachable")


class _Subscriber:
    def __init__(self, world: Stripe, dice: Random, coupons: list[str], found: Amounts, name: str) -> None:
        self.world, self.dice, self.found, self.name = world, dice, found, name
        organization = OrganizationFactory(owner=UserFactory())
        self.owner = Person(organization.memberships.select_related("organization", "user").get())
        customer = str(customers.ensure(organization, None).stripe_customer_id)
        world.card(customer)
        # Anywhere in four years: the ends of months and the leap day are among them.
        start = int(time.time()) + dice.randrange(4 * 365 * DAY)
        self.payer = Payer(world, organization, customer, world.hang_on_clock(customer, start))
        self.plan = dice.choice(PAID[:3])
        self.coupon = dice.choice(coupons) if dice.random() < 0.3 else ""
        discounts = {"discounts": [{"coupon": self.coupon}]} if self.coupon else {}
        self.subscription = world.subscribe(customer, price_of(*self.plan), **discounts).id
        self.api = Api()
        sync_customer(customer)

    def change(self, times: int) -> None:
        for _ in range(times):
            days = self.dice.choice([self.dice.uniform(0.01, 28), self.dice.uniform(0.01, 55)])
            self.world.advance(self.payer.clock, to=self._now() + int(days * DAY))
            sync_customer(self.payer.customer)
            wanted = self.dice.choice([each for each in PAID if each != self.plan])
            self.found.changes += 1
            if not self._change(wanted):
                return

    def _now(self) -> int:
        return self.world.sdk.test_helpers.test_clocks.retrieve(self.payer.clock).frozen_time

    def _change(self, wanted: tuple[str, str]) -> bool:
        body = {"planTier": wanted[0], "interval": wanted[1]}
        told = self._post("preview-change", body)
        if told is None:
            return False
        before = self._newest().id
        if self._post("change-plan", body | {"prorationDate": told["prorationDate"]}) is None:
            return False
        what = f"{self.name}: {self.plan} to {wanted} {'with ' + self.coupon if self.coupon else ''}"
        if told["when"] == "now":
            self._at_once(what, told, before)
            self.plan = wanted
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

    def _planned(self, what: str, told: dict[str, Any], before: str) -> None:
        """Nothing now; at the period's end the price that was named."""
        if told["dueNow"] or told["lines"] or self._newest().id != before:
            self.found.wrong.append(f"{what}: a change that is to come cost {told['dueNow']}")
        self.found.planned += 1
        end = self.world.sdk.subscriptions.retrieve(self.subscription)["items"].data[0].current_period_end
        while self._now() < end + 7200:
            self.world.advance(self.payer.clock, to=min(end + 7200, self._now() + 50 * DAY))
        bill = self._newest()
        if bill.subtotal != told["nextAmount"] or (not self.coupon and bill.total != told["nextAmount"]):
            self.found.wrong.append(f"{what}: {told['nextAmount']} announced, {bill.subtotal} billed at the period's end")
        self.found.total += bill.total

    def _newest(self) -> Any:
        return self.world.sdk.subscriptions.retrieve(self.subscription, {"expand": ["latest_invoice"]}).latest_invoice

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        answer = self.api.post(f"/api/billing/{path}", body, by=self.owner)
        if answer.status_code != 200:
            self.found.wrong.append(f"{self.name}: {path} {body} from {self.plan}: {answer.status_code} {answer.content.decode()[:300]}")
            return None
        found: dict[str, Any] = answer.json()
        return found
