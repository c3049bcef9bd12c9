"""The revenue of each day, calculated from subscriptions as Stripe returns them. It shares no code with the product."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any

Document = dict[str, Any]
CURRENCIES = ("usd", "eur")
MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")
REVENUE_STATUSES = ("active", "past_due", "trialing")


@dataclass
class Expected:
    """The revenue at the end of one day in one currency: monthly amounts in minor units, exact."""

    total: Fraction = Fraction(0)
    customers: int = 0
    trials: int = 0
    movements: dict[str, Fraction] = field(default_factory=lambda: dict.fromkeys(MOVEMENTS, Fraction(0)))

    def figures(self) -> dict[str, Fraction]:
        """Return the figures by the names of the product's columns."""
        return {"closing": self.total, "customers": Fraction(self.customers), "trials": Fraction(self.trials), **self.movements}


class ExpectedRevenue:
    """The expectation of each day and currency, recorded day by day."""

    def __init__(self) -> None:
        self.days: dict[tuple[date, str], Expected] = {}
        self.movements: Counter[str] = Counter()
        self._before: dict[tuple[str, str], Fraction] = {}
        self._paid: set[tuple[str, str]] = set()  # customers and currencies with revenue on an earlier day

    def record(self, day: date, customers: Mapping[str, Iterable[Document]]) -> None:
        """Record a day from each customer's subscriptions as they are at its end."""
        end = seconds(day, 24)
        for currency in CURRENCIES:
            self.days[day, currency] = Expected()
        for customer, documents in customers.items():
            totals: dict[str, Fraction] = defaultdict(Fraction)
            for document in documents:
                self.days[day, document["currency"]].trials += in_first_trial(document)
                totals[document["currency"]] += monthly(document, end - 1)
            for currency in CURRENCIES:
                self._move(self.days[day, currency], (customer, currency), totals[currency])

    def _move(self, expected: Expected, key: tuple[str, str], after: Fraction) -> None:
        before = self._before.get(key, Fraction(0))
        expected.total += after
        expected.customers += after > 0
        if after != before:
            kind = self._kind(key, before, after)
            expected.movements[kind] += abs(after - before)
            self.movements[kind] += 1
        if after:
            self._paid.add(key)
        self._before[key] = after

    def _kind(self, key: tuple[str, str], before: Fraction, after: Fraction) -> str:
        if after == 0:
            return "churn"
        if before:
            return "expansion" if after > before else "contraction"
        return "reactivation" if key in self._paid else "new"


def monthly(document: Document, at: int) -> Fraction:
    """Return the recurring price per month in minor units, after repeating discounts, of a subscription at a Unix time."""
    if document["status"] not in REVENUE_STATUSES or in_first_trial(document):
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


def in_first_trial(document: Document) -> bool:
    """Return whether the subscription is in the trial with which it began."""
    return bool(document["status"] == "trialing" and document["trial_start"] == document["start_date"])


def seconds(day: date, hour: int, minute: int = 0) -> int:
    """Return the Unix time of a moment of a day (UTC)."""
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return midnight + hour * 3_600 + minute * 60
