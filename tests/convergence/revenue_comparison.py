"""Compare the product's stored revenue with the expectation, and Stripe's recurring invoices with the revenue of their day."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from fractions import Fraction

from billing.models import RevenueDay, RevenueSnapshot
from tests.convergence.revenue_expected import MOVEMENTS, Document, ExpectedRevenue

PER_YEAR = ("closing", *MOVEMENTS)  # stored per year


def different_days(expected: ExpectedRevenue) -> tuple[int, list[str]]:
    """Return the number of compared figures, and a line for each day and currency that differs."""
    rows = {(row.day, row.currency): row for row in RevenueDay.objects.all()}
    compared, failures = 0, []
    for (day, currency), expected_day in expected.days.items():
        row = rows.get((day, currency))
        figures = expected_day.figures()
        compared += len(figures)
        stored = {name: Fraction(getattr(row, name) if row else 0, 12 if name in PER_YEAR else 1) for name in figures}
        if stored != figures:
            different = {name: (str(stored[name]), str(figures[name])) for name in figures if stored[name] != figures[name]}
            failures.append(f"{day} {currency}: {different} (stored, expected)")
    return compared, failures


def different_invoices(invoices: Iterable[Document], single_use: Collection[str], until: date) -> tuple[int, list[str]]:
    """Compare each regular invoice with the revenue of the subscription on the day of its period's start.

    Days on which the subscription was changed as well are left out. Discounts for one invoice (`single_use`) are not recurring. Returns
    the number of compared invoices, and a line for each one that differs.
    """
    compared, failures = 0, []
    for invoice in invoices:
        parent = invoice["parent"] and invoice["parent"]["subscription_details"]
        lines = [line for line in invoice["lines"]["data"] if _is_regular(line)]
        if not parent or invoice["billing_reason"] != "subscription_cycle" or not lines:
            continue
        started = datetime.fromtimestamp(lines[0]["period"]["start"], UTC).date()
        earlier = RevenueSnapshot.objects.filter(stripe_subscription_id=parent["subscription"], first_day__lt=started)
        row = earlier.exclude(last_day__lt=started).first()
        if started >= until or row is None or row.state == RevenueSnapshot.State.PAUSED:
            continue
        compared += 1
        discounts = [each for line in lines for each in line["discount_amounts"]]
        if len({each["discount"] for each in discounts}) > 1 and any(each["discount"] in single_use for each in discounts):
            continue  # A percentage of an amount that a single discount had reduced before.
        recurring = sum(each["amount"] for each in discounts if each["discount"] not in single_use)
        billed = sum(line["amount"] for line in lines) - recurring
        if billed * (1 if row.interval == "year" else 12) != row.annual_amount:
            failures.append(f"{started} {invoice['id']} billed {billed}, revenue per year {row.annual_amount}")
    return compared, failures


def _is_regular(line: Document) -> bool:
    details = line["parent"].get("subscription_item_details")
    return bool(details) and not details["proration"]
