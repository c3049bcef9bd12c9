"""The recurring charges of a subscription, and its recurring revenue at a time. Pure functions without clock, database or network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from billing.amounts import after_discounts
from billing.documents.stripe_documents import Document, to_datetime
from billing.models import SubscriptionChange
from billing.models.revenue import RevenueSnapshot

State = RevenueSnapshot.State
# Billing periods of one interval in a year. Stripe bills a weekly price 52 times in 364 days.
PERIODS_PER_YEAR = {"year": 1, "month": 12, "week": 52, "day": 365}
# A discount for one invoice does not change what the subscription bills regularly.
ONCE = "once"
DISCOUNT_FIELDS = ("id", "percent_off", "amount_off", "currency", "duration", "end")


@dataclass(frozen=True)
class Revenue:
    """A subscription's state and its recurring amount per year in minor units.

    `state` is None if the subscription bills nothing and is not in a trial.
    """

    state: str | None
    annual_amount: int


NONE = Revenue(None, 0)


def measured_fields(document: Document, discounts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the columns of `SubscriptionChange` that a Stripe subscription determines, without its plan."""
    pause = document.get("pause_collection") or {}
    return {
        "status": document["status"],
        "currency": document["currency"],
        "prices": _licensed_prices(document),
        "discounts": measured_discounts(discounts),
        "on_first_trial": document["trial_start"] is not None and document["trial_start"] == document["start_date"],
        "collection_paused": bool(pause),
        "collection_resumes_at": to_datetime(pause.get("resumes_at")),
    }


def measured_discounts(discounts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the fields of `SubscriptionState.discounts` that determine an amount."""
    return [{name: each.get(name) for name in DISCOUNT_FIELDS} for each in discounts]


def _licensed_prices(document: Document) -> list[dict[str, Any]]:
    prices = []
    for item in document["items"]["data"]:
        price = item["price"]
        recurring = price.get("recurring") or {}
        unit = price.get("unit_amount_decimal") or price.get("unit_amount")
        # Metered items are overage. Tiered prices have no unit amount.
        if recurring.get("usage_type") != "licensed" or unit is None:
            continue
        amount = _rounded(Decimal(str(unit)) * (item.get("quantity") or 1))
        prices.append({"amount": amount, "interval": recurring["interval"], "interval_count": recurring.get("interval_count") or 1})
    return prices


def revenue_at(change: SubscriptionChange, when: datetime) -> Revenue:
    """Return the recurring revenue at `when` of a subscription in this state.

    A past due subscription counts until it ends. The first trial, paused collection, and incomplete, unpaid and paused subscriptions count
    as zero; free days of a subscription that was paid before count as paid.
    """
    if change.status not in ("trialing", "active", "past_due"):
        return NONE
    if change.status == "trialing" and change.on_first_trial:
        return Revenue(State.TRIAL, 0)
    if _is_paused(change, when):
        return Revenue(State.PAUSED, 0)
    state = State.PAST_DUE if change.status == "past_due" else State.ACTIVE
    return Revenue(state, annual_amount(change.prices, change.discounts, change.currency, when))


def _is_paused(change: SubscriptionChange, when: datetime) -> bool:
    return change.collection_paused and (change.collection_resumes_at is None or change.collection_resumes_at > when)


def annual_amount(prices: Iterable[Mapping[str, Any]], discounts: Iterable[Mapping[str, Any]], currency: str, when: datetime | None) -> int:
    """Return the yearly amount in minor units, after the repeating discounts that apply at `when`, before tax.

    Stripe applies discounts to an invoice, and items with the same interval are billed by the same invoice.
    """
    repeating = [each for each in discounts if each.get("duration") != ONCE]
    invoices: dict[tuple[str, int], int] = {}
    for price in prices:
        key = (price["interval"], price["interval_count"])
        invoices[key] = invoices.get(key, 0) + price["amount"]
    total = 0
    for (interval, count), amount in invoices.items():
        net = after_discounts(amount, repeating, currency, when)
        total += _rounded(Decimal(net) * PERIODS_PER_YEAR[interval] / count)
    return total


def changes_within(change: SubscriptionChange) -> Iterator[datetime]:
    """Yield the times at which the revenue changes without an event: the ends of discounts and of a pause."""
    for discount in change.discounts:
        if end := to_datetime(discount.get("end")):
            yield end
    if change.collection_paused and change.collection_resumes_at:
        yield change.collection_resumes_at


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
