"""Subscriptions and the schedules that wait on them."""

from typing import Any

from billing.errors import StripeMissing

from .client import ask, pages

EXPAND = ["data.schedule", "data.discounts.source.coupon", "data.discounts.promotion_code"]


def of_customer(customer_id: str) -> list[dict[str, Any]]:
    """All of them, ended ones too, schedules and discounts expanded."""
    return list(pages("/v1/subscriptions", customer=customer_id, status="all", expand=EXPAND))


def retrieve(subscription_id: str) -> dict[str, Any] | None:
    try:
        return ask("get", f"/v1/subscriptions/{subscription_id}", expand=["schedule"])
    except StripeMissing:
        return None


def update(subscription_id: str, *, key: object, **params: Any) -> dict[str, Any]:
    return ask("post", f"/v1/subscriptions/{subscription_id}", key=key, **params)


def cancel(subscription_id: str, *, key: object, invoice_now: bool = False) -> dict[str, Any]:
    """At once. With `invoice_now`, what was used beyond the allowance and not billed yet is billed."""
    return ask("delete", f"/v1/subscriptions/{subscription_id}", key=key, **({"invoice_now": True} if invoice_now else {}))


def resume(subscription_id: str, *, key: object) -> dict[str, Any]:
    """A paused one."""
    return ask("post", f"/v1/subscriptions/{subscription_id}/resume", key=key, billing_cycle_anchor="now")


def schedule_from(subscription_id: str, *, key: object) -> dict[str, Any]:
    """A schedule that so far only repeats what the subscription is."""
    return ask("post", "/v1/subscription_schedules", key=key, from_subscription=subscription_id)


def retrieve_schedule(schedule_id: str) -> dict[str, Any]:
    """Also one that is released or over: it still says what was planned."""
    return ask("get", f"/v1/subscription_schedules/{schedule_id}")


def update_schedule(schedule_id: str, *, key: object, **params: Any) -> dict[str, Any]:
    return ask("post", f"/v1/subscription_schedules/{schedule_id}", key=key, **params)


def release_schedule(schedule_id: str, *, key: object) -> dict[str, Any]:
    """Let the subscription go on as it is."""
    return ask("post", f"/v1/subscription_schedules/{schedule_id}/release", key=key)


def add_item(subscription_id: str, price_id: str, *, key: object) -> dict[str, Any]:
    return ask("post", "/v1/subscription_items", key=key, subscription=subscription_id, price=price_id)


def remove_item(item_id: str, *, key: object) -> dict[str, Any]:
    return ask("delete", f"/v1/subscription_items/{item_id}", key=key)
