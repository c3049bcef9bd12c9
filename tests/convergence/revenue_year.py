"""A year of subscriptions at Stripe, day by day, and the comparison of each day's revenue with Stripe's own objects.

The expectation (`revenue_expected`) reads the subscriptions of the end of each day, as Stripe returns them, while the product receives
Stripe's events days later, in any order and twice. A seed determines everything that happens.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

import stripe
from django.db import connection

from billing import customer_mapping, customers
from billing.inbound import inbox
from billing.models import BillingAccount
from billing.revenue import rebuild
from tests.convergence import revenue_comparison
from tests.convergence.revenue_actions import ACTIONS, Action, Buyer, Prices, StripeActions
from tests.convergence.revenue_expected import Document, ExpectedRevenue, seconds
from tests.factories.accounts import OrganizationFactory, UserFactory
from tests.support.stripe import Stripe, work

PER_CLOCK = 3
# The first day is one of this leap year, so that a seed always plays the same days.
FIRST_POSSIBLE_DAY = date(2024, 1, 1)


@dataclass
class Result:
    days: int = 0
    compared: int = 0
    invoices: int = 0
    by_product: int = 0  # changes of subscriptions that the product requested at Stripe
    actions: Counter[str] = field(default_factory=Counter)
    movements: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class RevenueYear:
    """Play `days` days with `buyers` organizations, and compare each day."""

    def __init__(
        self, world: Stripe, prices: Prices, *, buyers: int, days: int, seed: int, actions: float = 1 / 14, deliveries: float = 0.06
    ) -> None:
        """`actions` is the probability that a buyer acts on a day, and `deliveries` that the product receives events on a day."""
        self.world, self.rng = world, Random(seed)
        self.days, self.actions, self.deliveries = days, actions, deliveries
        self.first = FIRST_POSSIBLE_DAY + timedelta(days=self.rng.randrange(366))
        self.result = Result()
        self.expected = ExpectedRevenue()
        self.backlog: list[dict[str, Any]] = []
        self.single_use: set[str] = set()  # IDs of discounts for one invoice
        self.seconds = 0  # number of requests and jobs of the day that caused events
        self.at_stripe = StripeActions(world, prices, self.rng)
        self.clocks: dict[str, int] = {}  # the time of each test clock
        self.buyers = self._join(buyers)

    @property
    def last(self) -> date:
        return self.first + timedelta(days=self.days - 1)

    def _join(self, number: int) -> list[Buyer]:
        buyers = []
        for place in range(number):
            if place % PER_CLOCK == 0:
                clock = self.world.sdk.test_helpers.test_clocks.create({"frozen_time": seconds(self.first, 0, 5)}).id
                self.clocks[clock] = seconds(self.first, 0, 5)
            organization = OrganizationFactory(owner=UserFactory())
            customer = str(customers.ensure_customer(organization, None).stripe_customer_id)
            self.world.control(f"customers/{customer}/clock", test_clock=clock)
            self.world.card(customer)
            buyers.append(Buyer(organization, customer, clock, "eur" if place % 3 == 2 else "usd"))
        self.world.new_events()
        return buyers

    def play(self) -> Result:
        for number in range(self.days):
            day = self.first + timedelta(days=number)
            acting = [buyer for buyer in self.buyers if self.rng.random() < self.actions]
            self.play_day(day, acting, share=self.rng.random() if self.rng.random() < self.deliveries else None)
            if self.rng.random() < self.deliveries:
                rebuild.rebuild_recent_days(day)
        return self.compare()

    def play_day(self, day: date, acting: Collection[Buyer] = (), *, action: str = "", share: float | None = None) -> None:
        """Play a day: what these buyers do (by default any action), what is due at Stripe, and what the product does with the events.

        `share` is the share of the pending events that the product receives; None: it does nothing. Its own requests to Stripe change
        subscriptions on the day on which it processes the events, so the end of the day is read after them.
        """
        # Postgres ends a transaction that is idle for long.
        connection.cursor().execute("SELECT 1")
        self.seconds = 0
        for buyer in acting:
            # The last stop was before midnight, and what happens now belongs to this day.
            self._advance(buyer.clock, seconds(day, 0, 10))
            self._act(buyer, [each for each in ACTIONS if action in ("", each.name)])
        evening = seconds(day, 23, 50)
        due = [clock for clock in self.clocks if share is not None or day == self.last or self._is_due(clock, evening)]
        for clock in due:
            self._advance(clock, evening)
        if acting or due:
            self._collect(day)
        if share is not None:
            self._deliver(day, round(share * len(self.backlog)))
        while day == self.last and self.backlog:
            self._deliver(day, len(self.backlog))
        self.expected.record(day, {buyer.customer: buyer.documents for buyer in self.buyers})

    def compare(self) -> Result:
        """Rebuild the product's figures and compare them with the expectation and with Stripe's invoices."""
        rebuild.rebuild_recent_days(self.last)
        result = self.result
        result.days, result.movements = self.days, self.expected.movements
        result.compared, different = revenue_comparison.different_days(self.expected)
        invoices = [invoice for buyer in self.buyers for invoice in self._list("invoices", buyer)]
        result.invoices, billed = revenue_comparison.different_invoices(invoices, self.single_use, self.last + timedelta(days=1))
        result.failures += [*different, *billed]
        return result

    # What happens at Stripe

    def _act(self, buyer: Buyer, actions: list[Action]) -> None:
        possible = [action for action in actions if action.is_possible(buyer)]
        action = min(possible, key=lambda each: (self.result.actions[each.name], self.rng.random()))
        name = action.name
        try:
            action.perform(self.at_stripe, buyer, buyer.live())
        except (stripe.CardError, stripe.InvalidRequestError):
            name = "refused"
        self.result.actions[name] += 1

    def _advance(self, clock: str, to: int) -> None:
        if self.clocks[clock] < to:
            self.world.advance(clock, to=to)
            self.clocks[clock] = to

    def _is_due(self, clock: str, until: int) -> bool:
        """Return whether the simulator has work until then. Days on which nothing happens are not played at Stripe."""
        due = self.world.server.sim.store.one("SELECT 1 FROM jobs WHERE clock = ? AND due <= ? LIMIT 1", (clock, until))
        return due is not None

    def _collect(self, day: date) -> int:
        """Fetch the new events with their times, and the subscriptions that changed. Return the number of events about subscriptions.

        Events of one request or job share one second.
        """
        last = None
        changed = set()
        number = 0
        for event in self.world.new_events():
            cause = (event["request"] or {}).get("id")
            self.seconds += cause is None or cause != last
            last = cause
            self.backlog.append({**event, "created": seconds(day, 12) + self.seconds})
            changed.add(event["data"]["object"].get("customer"))
            number += event["type"].startswith("customer.subscription.")
        for buyer in self.buyers:
            if buyer.customer in changed:
                buyer.documents = self._list("subscriptions", buyer, status="all", **{"expand[]": "data.discounts.source.coupon"})
                discounts = [discount for document in buyer.documents for discount in document["discounts"]]
                self.single_use |= {each["id"] for each in discounts if each["source"]["coupon"]["duration"] == "once"}
        return number

    def _list(self, kind: str, buyer: Buyer, **more: str) -> list[Document]:
        """Return a customer's objects as Stripe sends them."""
        params = {"customer": buyer.customer, "limit": "100", **more}
        return list(self.world.session.get(f"{self.world.url}/v1/{kind}", params=params, timeout=60).json()["data"])

    # What the product does

    def _deliver(self, day: date, number: int) -> None:
        """Deliver some of the pending events in random order, some twice, at the product's current clock."""
        self.rng.shuffle(self.backlog)
        arriving, self.backlog = self.backlog[:number], self.backlog[number:]
        ahead = self._set_clocks(day)
        for event in arriving:
            # Stripe's events have real time. The product adds the lead of the customer's test clock and ignores fractions of a second.
            customer = event["data"]["object"].get("customer")
            text = json.dumps({**event, "created": event["created"] - ahead.get(customer, 0)})
            for _ in range(self.rng.choice([1, 1, 2])):
                inbox.store_event(inbox.parse_event(text.encode()), text)
        work(limit=5000)
        self.result.by_product += self._collect(day)

    def _set_clocks(self, day: date) -> dict[str, int]:
        """Store each customer's test clock offset in the product. Return the offsets in whole seconds, rounded down."""
        ahead = {}
        for buyer in self.buyers:
            account = BillingAccount.objects.select_related("organization").get(stripe_customer_id=buyer.customer)
            customer_mapping.set_clock(account, {"id": buyer.clock, "frozen_time": seconds(day, 23, 50)})
            account.save(update_fields=["clock_frozen_at"])
            ahead[buyer.customer] = math.floor(account.organization.clock_offset.total_seconds())
        return ahead
