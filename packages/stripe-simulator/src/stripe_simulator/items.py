"""Subscription items: their price, their period and what was last billed for them."""

from typing import Any

from stripe_simulator import catalog, periods, pricing
from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.lists import embedded_list
from stripe_simulator.render import embeds, includes, view
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit


def price_of(unit: Unit, item: Obj) -> Obj:
    return unit.require("price", item["price"])


def requested_price(unit: Unit, params: Params, param: str) -> Obj | None:
    """Return the price of an item, by ID or created inline, or None."""
    if data := params.get("price_data"):
        return catalog.inline_price(unit, data)
    if id := params.get("price"):
        price = unit.require("price", id, f"{param}[price]")
        if not price["active"]:
            raise invalid(f"The price specified is inactive. This field only accepts active prices: {id}", f"{param}[price]")
        return price
    return None


def new_item(unit: Unit, subscription: Obj, params: Params, param: str) -> Obj:
    price = requested_price(unit, params, param)
    if price is None:
        raise invalid(f"Missing required param: {param}[price].", f"{param}[price]", "parameter_missing")
    if price["type"] != "recurring":
        message = f"The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`: {price['id']}"
        raise invalid(message, f"{param}[price]")
    if price["currency"] != subscription["currency"]:
        raise invalid(f"The price specified only supports `{price['currency']}`.", f"{param}[price]")
    item = new_object(
        "subscription_item",
        id=new_id("si", 14),
        created=unit.now(subscription),
        metadata={},
        price=price["id"],
        subscription=subscription["id"],
        tax_rates=[],
    )
    merge_metadata(item, params.get("metadata"))
    item["_billed"] = None
    if not pricing.is_metered(price):
        item["quantity"] = params.get("quantity", 1)
    elif "quantity" in params:
        message = "You cannot set the quantity for metered plans."
        raise invalid(message, f"{param}[quantity]")
    unit.add({"id": item["id"], "object": "subscription_item", "_subscription": subscription["id"], "created": item["created"]})
    return item


def set_period(unit: Unit, subscription: Obj, item: Obj, start: int) -> tuple[int, int]:
    """Set the period from `start` to the next boundary of the billing cycle. Return the whole cycle around `start`."""
    name, count = pricing.interval(price_of(unit, item))
    grid = periods.containing(subscription["billing_cycle_anchor"], name, count, start)
    item["current_period_start"], item["current_period_end"] = start, grid[1]
    return grid


def next_period_end(subscription: Obj) -> int:
    end: int = min(item["current_period_end"] for item in subscription["_items"])
    return end


def resolve_cancel_at(subscription: Obj, cancel_at: int | str) -> int:
    """Return the cancellation time: a given time, or the earliest or latest period end (intervals of items may differ)."""
    if isinstance(cancel_at, int):
        return cancel_at
    ends = [item["current_period_end"] for item in subscription["_items"]]
    end: int = min(ends) if cancel_at == "min_period_end" else max(ends)
    return end


def item_view(unit: Unit, item: Obj) -> Obj:
    rendered = {key: value for key, value in item.items() if not key.startswith("_")}
    rendered["price"] = view(unit, price_of(unit, item))
    return rendered


def find(unit: Unit, id: str) -> tuple[Obj, Obj]:
    """Return a subscription item and its subscription."""
    reference = unit.require("subscription_item", id)
    subscription = unit.require("subscription", reference["_subscription"])
    for item in subscription["_items"]:
        if item["id"] == id:
            return item, subscription
    raise invalid(f"No such subscription item: '{id}'", "item", "resource_missing")


@embeds("subscription")
def _embed(unit: Unit, subscription: Obj, rendered: Obj) -> None:
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    rendered["items"] = embedded_list(url, [item_view(unit, item) for item in subscription["_items"]])


@includes("customer", "subscriptions")
def _of_customer(unit: Unit, customer: Obj) -> Any:
    subscriptions = unit.find("subscription", customer=customer["id"])
    running = [view(unit, each) for each in subscriptions if each["status"] not in ("canceled", "incomplete_expired")]
    return embedded_list(f"/v1/customers/{customer['id']}/subscriptions", running)
