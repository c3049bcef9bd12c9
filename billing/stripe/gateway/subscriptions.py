"""Subscriptions, subscription items and subscription schedules."""

from collections.abc import Iterator
from typing import Any

from billing.errors import StripeMissing

from .client import call, pages

EXPAND = ["data.schedule", "data.discounts.source.coupon", "data.discounts.promotion_code"]


def of_customer(customer_id: str) -> list[dict[str, Any]]:
    """Return all subscriptions of a customer, including ended ones, with schedules and discounts expanded."""
    return list(pages("/v1/subscriptions", customer=customer_id, status="all", expand=EXPAND))


def every() -> Iterator[dict[str, Any]]:
    """Yield the subscriptions of all customers that have not ended. Stripe omits customers on test clocks."""
    return pages("/v1/subscriptions")


def retrieve(subscription_id: str) -> dict[str, Any] | None:
    """Return the subscription with its schedule expanded; None if it does not exist."""
    try:
        return call("get", f"/v1/subscriptions/{subscription_id}", expand=["schedule"])
    except StripeMissing:
        return None


def update(subscription_id: str, *, key: object, **params: Any) -> dict[str, Any]:
    return call("post", f"/v1/subscriptions/{subscription_id}", key=key, **params)


def cancel(subscription_id: str, *, key: object, invoice_now: bool = False, **params: Any) -> dict[str, Any]:
    """Cancel immediately. With `invoice_now`, metered usage that is not billed yet is invoiced."""
    return call("delete", f"/v1/subscriptions/{subscription_id}", key=key, **({"invoice_now": True} if invoice_now else {}), **params)


def resume(subscription_id: str, *, key: object) -> dict[str, Any]:
    """Resume a paused subscription. A new billing period starts now."""
    return call("post", f"/v1/subscriptions/{subscription_id}/resume", key=key, billing_cycle_anchor="now")


def schedule_from(subscription_id: str, *, key: object) -> dict[str, Any]:
    """Create a schedule whose only phase repeats the subscription's current state."""
    return call("post", "/v1/subscription_schedules", key=key, from_subscription=subscription_id)


def retrieve_schedule(schedule_id: str) -> dict[str, Any]:
    """Return a schedule. Released and completed schedules are returned as well, with the phases that were planned."""
    return call("get", f"/v1/subscription_schedules/{schedule_id}")


def update_schedule(schedule_id: str, *, key: object, **params: Any) -> dict[str, Any]:
    return call("post", f"/v1/subscription_schedules/{schedule_id}", key=key, **params)


def release_schedule(schedule_id: str, *, key: object) -> dict[str, Any]:
    """Release a schedule: the subscription continues unchanged."""
    return call("post", f"/v1/subscription_schedules/{schedule_id}/release", key=key)


def add_item(subscription_id: str, price_id: str, *, key: object) -> dict[str, Any]:
    return call("post", "/v1/subscription_items", key=key, subscription=subscription_id, price=price_id)


def remove_item(item_id: str, *, key: object) -> dict[str, Any]:
    return call("delete", f"/v1/subscription_items/{item_id}", key=key)
