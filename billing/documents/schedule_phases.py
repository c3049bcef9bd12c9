"""Builds the phases of a scheduled plan change. Pure: no clock, no database, no network.

A phase of a subscription schedule replaces the subscription's complete configuration: what the phase does not contain is removed when it
starts (https://docs.stripe.com/billing/subscriptions/subscription-schedules). Therefore the current phase repeats the subscription as it
is, and the next phase differs from it only in the plan's price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing.documents.columns import plan_and_overage
from billing.documents.stripe_documents import Document, Prices, reference_id

# Metadata of schedules that this product created. Schedules from the dashboard are not changed.
MARK = {"contextmcp": "planned_change"}
Row = dict[str, Any]


def current_phase(subscription: Document, schedule: Document, prices: Prices) -> Row:
    """Return the current phase with the subscription's present configuration, not the one from when the schedule was created.

    It ends with the paid period. Free days that staff added are repeated, so that writing the phase does not end them.
    """
    rows = [row(item) for item in subscription["items"]["data"]]
    free_days = {"trial_end": subscription["trial_end"]} if subscription["status"] == "trialing" else {}
    start = schedule["current_phase"]["start_date"]
    return _phase(subscription, rows) | free_days | {"start_date": start, "end_date": paid_until(subscription, schedule, prices)}


def paid_until(subscription: Document, schedule: Document, prices: Prices) -> int:
    """Return when the plan's paid period ends, in Unix seconds.

    The schedule's current phase can end at a different time. On a yearly plan, it can end with the metered item's monthly period. If staff
    added free days, it can end when the period would have ended without them.
    """
    plan_item, _ = plan_and_overage(subscription, prices)
    return int(plan_item["current_period_end"] if plan_item else schedule["current_phase"]["end_date"])


def next_phase(subscription: Document, price_id: str, prices: Prices, *, keeps_metered: bool) -> Row:
    """Return a phase with the plan's price `price_id` and otherwise the subscription's present configuration. The caller adds its dates.

    The metered item is kept if the new plan offers overage, or with `keeps_metered`.
    """
    plan_item, overage_item = plan_and_overage(subscription, prices)
    rows: list[Row] = [{"price": price_id, "quantity": (plan_item or {}).get("quantity") or 1}]
    keeps = keeps_metered or sells_overage(price_id, prices)
    for item in subscription["items"]["data"]:
        if item is not plan_item and (keeps or item is not overage_item):
            rows.append(row(item))
    return _phase(subscription, rows)


def settings(subscription: Document) -> Row:
    """Return the schedule's default settings: how invoices are collected."""
    result: Row = {
        "collection_method": subscription["collection_method"],
        "default_payment_method": reference_id(subscription.get("default_payment_method")),
    }
    if subscription["collection_method"] == "send_invoice":
        result["invoice_settings"] = {"days_until_due": subscription["days_until_due"]}
    return result


def is_outdated(subscription: Document, prices: Prices) -> bool:
    """Return whether a schedule of this product would undo later changes of the subscription."""
    schedule = subscription.get("schedule")
    if not isinstance(schedule, Mapping) or not is_ours(schedule):
        return False
    current, scheduled = settings(subscription), schedule["default_settings"]
    if any(reference_id(scheduled.get(name)) != current[name] for name in ("collection_method", "default_payment_method")):
        return True
    upcoming = upcoming_phases(schedule)
    if upcoming and _was_moved(subscription, schedule, prices):
        return True
    return any(_differs(subscription, phase, prices) for phase in upcoming)


def _was_moved(subscription: Document, schedule: Document, prices: Prices) -> bool:
    """Return whether the end of the paid period was moved after the change was scheduled.

    It was not if the current period started after the current phase of the stored schedule ended.
    """
    plan_item, _ = plan_and_overage(subscription, prices)
    end = schedule["current_phase"]["end_date"]
    return plan_item is not None and plan_item["current_period_start"] < end != plan_item["current_period_end"]


def is_ours(schedule: Document) -> bool:
    """Return whether the schedule is active and was created by this product."""
    active = schedule["status"] == "active" and bool(schedule.get("current_phase"))
    return active and all((schedule.get("metadata") or {}).get(name) == value for name, value in MARK.items())


def upcoming_phases(schedule: Document) -> list[Document]:
    """Return the phases that have not started."""
    return [phase for phase in schedule["phases"] if phase["start_date"] >= schedule["current_phase"]["end_date"]]


def planned_price(phase: Document, prices: Prices) -> str:
    """Return the id of the plan's price in a phase; empty if no price is registered."""
    ids = [reference_id(item["price"]) for item in phase["items"]]
    return next((each for each in ids if each in prices and prices[each].interval != "overage"), "")


def sells_overage(price_id: str, prices: Prices) -> bool:
    """Return whether the plan version of a price offers overage."""
    plan = prices[price_id].plan_version_id if price_id in prices else None
    return any(each.plan_version_id == plan and each.interval == "overage" for each in prices.values())


def has_overage(phase: Document, prices: Prices) -> bool:
    """Return whether a phase contains the metered item."""
    return any(
        reference_id(item["price"]) in prices and prices[reference_id(item["price"])].interval == "overage" for item in phase["items"]
    )


def _differs(subscription: Document, phase: Document, prices: Prices) -> bool:
    price_id = planned_price(phase, prices)
    if not price_id:
        return False
    # Whether the metered item is kept for a plan without overage depends on unbilled units and was decided when the change was scheduled.
    expected = next_phase(subscription, price_id, prices, keeps_metered=has_overage(phase, prices))
    rows = [row(item) for item in phase["items"]]
    discounts = [each["discount"] for each in _named(phase.get("discounts"))]
    return _sorted(expected["items"]) != _sorted(rows) or [each["discount"] for each in expected["discounts"] or []] != discounts


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: str(row["price"]))


def _phase(subscription: Document, rows: list[Row]) -> Row:
    # Discounts are referenced by their own ids, so that their end dates are kept.
    discounts = [{"discount": reference_id(each)} for each in subscription.get("discounts") or []]
    return {"items": rows, "proration_behavior": "none", "discounts": discounts or ""}


def _named(discounts: Any) -> list[Document]:
    return [{"discount": reference_id(each["discount"])} for each in discounts or [] if each.get("discount")]


def row(item: Document) -> Row:
    """Return the parameters that set an item of a subscription or phase."""
    return {"price": reference_id(item["price"])} | ({"quantity": item["quantity"]} if item.get("quantity") else {})
