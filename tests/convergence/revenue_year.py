"""A year of subscriptions at Stripe, day by day, and the revenue of each day calculated from Stripe's own objects.

The calculation here shares no code with the product. It reads the subscriptions of the end of each day, as Stripe returns them, while the
product receives Stripe's events days later, in any order and twice.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from random import Random
from typing import Any

import stripe
from django.db import connection

from accounts.models import Organization
from billing import customer_mapping, customers
from billing.inbound import inbox
from billing.models import BillingAccount, RevenueDay, RevenueSnapshot
from billing.revenue import rebuild
from tests.factories.accounts import OrganizationFactory, UserFactory
from tests.factories.billing import DECLINES
from tests.support.stripe import DAY, Stripe, work

PER_CLOCK = 3
MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")
# Subscriptions, prices and coupons by the test's own arithmetic.
COUNTED = ("active", "past_due", "trialing")


@dataclass
class Buyer:
    organization: Organization
    customer: str
    clock: str
    currency: str
    documents: list[dict[str, Any]] = field(default_factory=list)  # its subscriptions at the last look
    ever: set[str] = field(default_factory=set)  # currencies in which it has paid

    def live(self) -> dict[str, Any] | None:
        return next((each for each in self.documents if each["status"] in ("active", "past_due", "trialing")), None)


@dataclass
class Expected:
    """The revenue at the end of one day in one currency: monthly amounts in minor units, exact."""

    total: Fraction = Fraction(0)
    customers: int = 0
    trials: int = 0
    movements: dict[str, Fraction] = field(default_factory=lambda: dict.fromkeys(MOVEMENTS, Fraction(0)))


@dataclass
class Result:
    days: int = 0
    compared: int = 0
    invoices: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    movements: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class RevenueYear:
    """Play `days` days with `buyers` organizations, and compare each day."""

    def __init__(self, world: Stripe, prices: dict[str, dict[str, str]], *, buyers: int, days: int, seed: int) -> None:
        self.world, self.sdk, self.rng, self.prices = world, world.sdk, Random(seed), prices
        self.days = days
        self.first = datetime.now(UTC).date() - timedelta(days=days + 2)
        self.result = Result()
        self.expected: dict[tuple[date, str], Expected] = {}
        self.before: dict[tuple[str, str], Fraction] = {}
        self.backlog: list[dict[str, Any]] = []
        self.looked_at: dict[str, list[dict[str, Any]]] = {}
        self.seconds = 0
        self.coupons = self._coupons()
        self.buyers = self._join(buyers)

    def _coupons(self) -> list[str]:
        terms: list[Any] = [
            {"percent_off": 25, "duration": "once"},
            {"percent_off": 33.3, "duration": "repeating", "duration_in_months": 3},
            {"percent_off": 10, "duration": "forever"},
        ]
        return [self.sdk.coupons.create(each).id for each in terms]

    def _amount_coupon(self, currency: str) -> str:
        return self.sdk.coupons.create(
            {"amount_off": 333, "currency": currency, "duration": "repeating", "duration_in_months": self.rng.choice([1, 2])}
        ).id

    def _join(self, number: int) -> list[Buyer]:
        buyers = []
        for place in range(number):
            if place % PER_CLOCK == 0:
                clock = self.sdk.test_helpers.test_clocks.create({"frozen_time": _seconds(self.first, 0, 5)}).id
            organization = OrganizationFactory(owner=UserFactory())
            customer = str(customers.ensure_customer(organization, None).stripe_customer_id)
            self.world.control(f"customers/{customer}/clock", test_clock=clock)
            self.world.card(customer)
            buyers.append(Buyer(organization, customer, clock, "eur" if place % 4 == 3 else "usd"))
        self.world.new_events()
        return buyers

    def play(self) -> Result:
        for number in range(self.days):
            day = self.first + timedelta(days=number)
            # Postgres ends a transaction that is idle for long.
            connection.cursor().execute("SELECT 1")
            self._act(day)
            for clock in sorted({buyer.clock for buyer in self.buyers}):
                self.world.advance(clock, to=_seconds(day, 23, 50))
            self._collect(day)
            self._expect(day)
            if self.rng.random() < 0.06:
                self._deliver(day, self.rng.randrange(len(self.backlog) + 1))
            if self.rng.random() < 0.05:
                rebuild.rebuild_recent_days(day)
        last = self.first + timedelta(days=self.days - 1)
        self._deliver(last, len(self.backlog))
        rebuild.rebuild_recent_days(last)
        self.compare()
        self._compare_with_invoices()
        return self.result

    # What happens

    def _act(self, day: date) -> None:
        acting = [buyer for buyer in self.buyers if self.rng.random() < 1 / 14]
        for clock in sorted({buyer.clock for buyer in acting}):
            # The last stop was before midnight, and what happens now belongs to this day.
            self.world.advance(clock, to=_seconds(day, 0, 10))
        for buyer in acting:
            self._look(buyer)
            possible = [action for action in ACTIONS if action[1](buyer)]
            name, _, do = min(possible, key=lambda action: (self.result.actions[action[0]], self.rng.random()))
            try:
                do(self, buyer, buyer.live())
            except (stripe.CardError, stripe.InvalidRequestError):
                name = "refused"
            self.result.actions[name] += 1

    def _subscribe(self, buyer: Buyer, **more: Any) -> None:
        price = self.rng.choice(sorted(self.prices[buyer.currency].values()))
        quantity = self.rng.choice([1, 1, 2])
        params: Any = {"customer": buyer.customer, "items": [{"price": price, "quantity": quantity}], **more}
        self.sdk.subscriptions.create(params)

    def _replace(self, buyer: Buyer, subscription: dict[str, Any]) -> None:
        self.sdk.subscriptions.cancel(subscription["id"])
        self._subscribe(buyer)

    def _change_item(self, buyer: Buyer, subscription: dict[str, Any], **change: Any) -> None:
        item = subscription["items"]["data"][0]["id"]
        behavior = self.rng.choice(["none", "create_prorations", "always_invoice"])
        params: Any = {"items": [{"id": item, **change}], "proration_behavior": behavior}
        self.sdk.subscriptions.update(subscription["id"], params)

    def _other_price(self, buyer: Buyer, subscription: dict[str, Any]) -> str:
        current = subscription["items"]["data"][0]["price"]["id"]
        return self.rng.choice(sorted(set(self.prices[buyer.currency].values()) - {current}))

    def _refund(self, buyer: Buyer) -> None:
        charges = self.sdk.charges.list({"customer": buyer.customer, "limit": 1}).data
        if charges and charges[0].paid and charges[0].amount_refunded == 0:
            self.sdk.refunds.create({"charge": charges[0].id, "amount": max(1, charges[0].amount // 2)})

    def _time(self, buyer: Buyer) -> int:
        return self.sdk.test_helpers.test_clocks.retrieve(buyer.clock).frozen_time

    # What Stripe says

    def _collect(self, day: date) -> None:
        """Fetch the new events with their times. Events of one request or job share one second."""
        last = None
        changed = set()
        for event in self.world.new_events():
            cause = (event["request"] or {}).get("id")
            self.seconds += cause is None or cause != last
            last = cause
            self.backlog.append({**event, "created": _seconds(day, 12, 0) + self.seconds % 30_000})
            changed.add(event["data"]["object"].get("customer"))
        for buyer in self.buyers:
            if buyer.customer in changed:
                self._look(buyer)

    def _look(self, buyer: Buyer) -> None:
        buyer.documents = self._list("subscriptions", buyer, status="all", **{"expand[]": "data.discounts.source.coupon"})
        for document in buyer.documents:
            self.looked_at.setdefault(document["id"], []).append(document)

    def _list(self, kind: str, buyer: Buyer, **more: str) -> list[dict[str, Any]]:
        """Return a customer's objects as Stripe sends them."""
        params = {"customer": buyer.customer, "limit": "100", **more}
        return list(self.world.session.get(f"{self.world.url}/v1/{kind}", params=params, timeout=60).json()["data"])

    def _expect(self, day: date) -> None:
        at = _seconds(day, 23, 50)
        for currency in ("usd", "eur"):
            self.expected[day, currency] = Expected()
        for buyer in self.buyers:
            totals: dict[str, Fraction] = defaultdict(Fraction)
            for document in buyer.documents:
                self.expected[day, document["currency"]].trials += _in_first_trial(document)
                totals[document["currency"]] += monthly(document, at)
            for currency in ("usd", "eur"):
                self._move(buyer, self.expected[day, currency], currency, totals[currency])

    def _move(self, buyer: Buyer, expected: Expected, currency: str, after: Fraction) -> None:
        before = self.before.get((buyer.customer, currency), Fraction(0))
        expected.total += after
        expected.customers += after > 0
        if after != before:
            kind = (
                "churn"
                if after == 0
                else ("expansion" if after > before else "contraction")
                if before
                else "reactivation"
                if currency in buyer.ever
                else "new"
            )
            expected.movements[kind] += abs(after - before)
            self.result.movements[kind] += 1
        if after:
            buyer.ever.add(currency)
        self.before[buyer.customer, currency] = after

    # What the product does

    def _deliver(self, day: date, number: int) -> None:
        """Deliver some of the pending events in random order, some twice, at the product's current clock."""
        self.rng.shuffle(self.backlog)
        arriving, self.backlog = self.backlog[:number], self.backlog[number:]
        ahead = self._set_clocks(day)
        for event in arriving:
            # Stripe's events have real time. The product adds the lead of the customer's test clock, in whole seconds.
            customer = event["data"]["object"].get("customer")
            text = json.dumps({**event, "created": event["created"] - ahead.get(customer, 0) + 1})
            for _ in range(self.rng.choice([1, 1, 2])):
                inbox.store_event(inbox.parse_event(text.encode()), text)
        work(limit=5000)

    def _set_clocks(self, day: date) -> dict[str, int]:
        """Store each customer's test clock offset in the product. Return the offsets in seconds."""
        ahead = {}
        for buyer in self.buyers:
            account = BillingAccount.objects.select_related("organization").get(stripe_customer_id=buyer.customer)
            customer_mapping.set_clock(account, {"id": buyer.clock, "frozen_time": _seconds(day, 23, 50)})
            account.save(update_fields=["clock_frozen_at"])
            ahead[buyer.customer] = math.ceil(account.organization.clock_offset.total_seconds())
        return ahead

    def compare(self) -> None:
        """Compare the stored totals of every day with the expectation."""
        rows = {(row.day, row.currency): row for row in RevenueDay.objects.all()}
        self.result.days = self.days
        for (day, currency), expected in self.expected.items():
            row = rows.get((day, currency))
            stored = {
                "total": Fraction(row.closing if row else 0, 12),
                "customers": row.customers if row else 0,
                "trials": row.trials if row else 0,
                **{kind: Fraction(getattr(row, kind) if row else 0, 12) for kind in MOVEMENTS},
            }
            wanted = {"total": expected.total, "customers": expected.customers, "trials": expected.trials, **expected.movements}
            self.result.compared += len(wanted)
            if stored != wanted:
                different = {name: (str(stored[name]), str(wanted[name])) for name in wanted if stored[name] != wanted[name]}
                self.result.failures.append(f"{day} {currency}: {different} (stored, expected)")

    def _compare_with_invoices(self) -> None:
        """Compare each regular invoice with the revenue of the subscription on the day of its period's start.

        Days on which the subscription was changed as well are left out, and discounts for one invoice are not recurring.
        """
        for buyer in self.buyers:
            for invoice in self._list("invoices", buyer):
                parent = invoice["parent"] and invoice["parent"]["subscription_details"]
                if not parent or invoice["billing_reason"] != "subscription_cycle":
                    continue
                lines = [line for line in invoice["lines"]["data"] if _regular(line)]
                if not lines:
                    continue
                started = datetime.fromtimestamp(lines[0]["period"]["start"], UTC).date()
                row = RevenueSnapshot.objects.filter(stripe_subscription_id=parent["subscription"], first_day__lt=started).exclude(
                    last_day__lt=started
                )
                if started >= self.first + timedelta(days=self.days) or not row or row[0].state == "paused":
                    continue
                once = {discount for line in lines for discount in self._single(line)}
                billed = sum(
                    line["amount"] - sum(each["amount"] for each in line["discount_amounts"] if each["discount"] not in once)
                    for line in lines
                )
                self.result.invoices += 1
                if once and len({each["discount"] for line in lines for each in line["discount_amounts"]}) > 1:
                    continue  # A percentage of an amount that a single discount had reduced before.
                if billed * (1 if row[0].interval == "year" else 12) != row[0].annual_amount:
                    self.result.failures.append(f"{started} {invoice['id']} billed {billed}, revenue per year {row[0].annual_amount}")

    def _single(self, line: dict[str, Any]) -> set[str]:
        ids = {each["discount"] for each in line["discount_amounts"]}
        seen = [discount for documents in self.looked_at.values() for document in documents for discount in document["discounts"]]
        return {each["id"] for each in seen if each["id"] in ids and each["source"]["coupon"]["duration"] == "once"}


def monthly(document: dict[str, Any], at: int) -> Fraction:
    """Return the recurring price per month in minor units, after repeating discounts, of a subscription as Stripe returns it."""
    if document["status"] not in COUNTED or _in_first_trial(document):
        return Fraction(0)
    pause = document["pause_collection"]
    if pause and not (pause["resumes_at"] and pause["resumes_at"] <= at):
        return Fraction(0)
    amount = sum(item["price"]["unit_amount"] * item["quantity"] for item in document["items"]["data"])
    for discount in document["discounts"]:
        coupon = discount["source"]["coupon"]
        if coupon["duration"] == "once" or (discount["end"] and discount["end"] <= at):
            continue
        if coupon["percent_off"]:
            # Stripe rounds each discount half up, to whole minor units.
            amount -= int(amount * Fraction(str(coupon["percent_off"])) / 100 + Fraction(1, 2))
        else:
            amount = max(0, amount - coupon["amount_off"])
    interval = document["items"]["data"][0]["price"]["recurring"]["interval"]
    return Fraction(amount, 12 if interval == "year" else 1)


def _in_first_trial(document: dict[str, Any]) -> bool:
    return bool(document["status"] == "trialing" and document["trial_start"] == document["start_date"])


def _regular(line: dict[str, Any]) -> bool:
    details = line["parent"].get("subscription_item_details")
    return bool(details) and not details["proration"]


def _seconds(day: date, hour: int, minute: int) -> int:
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC).timestamp())


def _is(*statuses: str) -> Callable[[Buyer], bool]:
    return lambda buyer: (buyer.live() or {"status": ""})["status"] in statuses


def _free(buyer: Buyer) -> bool:
    return buyer.live() is None


def _paused(buyer: Buyer) -> bool:
    return bool((buyer.live() or {"pause_collection": None})["pause_collection"])


def _active_unpaused(buyer: Buyer) -> bool:
    return _is("active")(buyer) and not _paused(buyer)


def _discounted(buyer: Buyer) -> bool:
    return bool((buyer.live() or {"discounts": []})["discounts"])


Action = tuple[str, Callable[[Buyer], bool], Callable[[RevenueYear, Buyer, Any], Any]]
ACTIONS: list[Action] = [
    ("subscribes", _free, lambda year, buyer, _: year._subscribe(buyer)),
    ("starts a trial", _free, lambda year, buyer, _: year._subscribe(buyer, trial_period_days=year.rng.choice([3, 14]))),
    (
        "subscribes with a coupon",
        _free,
        lambda year, buyer, _: year._subscribe(buyer, discounts=[{"coupon": year.rng.choice(year.coupons)}]),
    ),
    (
        "changes the plan",
        _is("active", "trialing"),
        lambda year, buyer, live: year._change_item(buyer, live, price=year._other_price(buyer, live)),
    ),
    (
        "changes the quantity",
        _is("active", "trialing"),
        lambda year, buyer, live: year._change_item(buyer, live, quantity=year.rng.choice([1, 3, 7])),
    ),
    (
        "gets two coupons",
        _is("active"),
        lambda year, buyer, live: year.sdk.subscriptions.update(
            live["id"], {"discounts": [{"coupon": year.rng.choice(year.coupons[1:])}, {"coupon": year._amount_coupon(buyer.currency)}]}
        ),
    ),
    (
        "gets a coupon for one invoice",
        _active_unpaused,
        lambda year, buyer, live: year.sdk.subscriptions.update(live["id"], {"discounts": [{"coupon": year.coupons[0]}]}),
    ),
    ("loses its discounts", _discounted, lambda year, buyer, live: year.sdk.subscriptions.update(live["id"], {"discounts": ""})),
    ("is refunded", _is("active"), lambda year, buyer, _: year._refund(buyer)),
    (
        "is paused until a date",
        _active_unpaused,
        lambda year, buyer, live: year.sdk.subscriptions.update(
            live["id"], {"pause_collection": {"behavior": "void", "resumes_at": year._time(buyer) + 5 * DAY + 3600}}
        ),
    ),
    (
        "is paused",
        _active_unpaused,
        lambda year, buyer, live: year.sdk.subscriptions.update(live["id"], {"pause_collection": {"behavior": "mark_uncollectible"}}),
    ),
    ("resumes", _paused, lambda year, buyer, live: year.sdk.subscriptions.update(live["id"], {"pause_collection": ""})),
    (
        "gets free days",
        _active_unpaused,
        lambda year, buyer, live: year.sdk.subscriptions.update(
            live["id"], {"trial_end": year._time(buyer) + 9 * DAY, "proration_behavior": "none"}
        ),
    ),
    ("cancels now", _is("active", "past_due", "trialing"), lambda year, buyer, live: year.sdk.subscriptions.cancel(live["id"])),
    (
        "cancels at the end",
        _is("active", "trialing"),
        lambda year, buyer, live: year.sdk.subscriptions.update(live["id"], {"cancel_at_period_end": True}),
    ),
    (
        "withdraws the cancellation",
        lambda buyer: bool((buyer.live() or {"cancel_at_period_end": False})["cancel_at_period_end"]),
        lambda year, buyer, live: year.sdk.subscriptions.update(live["id"], {"cancel_at_period_end": False}),
    ),
    (
        "is replaced within a day",
        _is("active"),
        lambda year, buyer, live: year._replace(buyer, live),
    ),
    ("the card starts failing", _is("active"), lambda year, buyer, _: year.world.card(buyer.customer, DECLINES)),
    ("replaces the card", _is("active", "past_due"), lambda year, buyer, _: year.world.card(buyer.customer)),
    ("changes its currency", _free, lambda year, buyer, _: setattr(buyer, "currency", {"usd": "eur", "eur": "usd"}[buyer.currency])),
]
