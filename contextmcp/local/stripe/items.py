"""Subscription items: what is sold, for which period, and what was last billed for it."""

from typing import Any

from contextmcp.local.stripe import catalog, periods, pricing
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.kinds import Obj, Params, new_id
from contextmcp.local.stripe.lists import whole
from contextmcp.local.stripe.render import embeds, includes, view
from contextmcp.local.stripe.shape import blank, merge_metadata
from contextmcp.local.stripe.unit import Unit


def price_of(unit: Unit, item: Obj) -> Obj:
    return unit.need("price", item["price"])


def chosen_price(unit: Unit, given: Params, param: str) -> Obj | None:
    """The price an item asks for: by id, or made on the spot."""
    if data := given.get("price_data"):
        return catalog.inline_price(unit, data)
    if id := given.get("price"):
        price = unit.need("price", id, f"{param}[price]")
        if not price["active"]:
            raise invalid(f"The price specified is inactive. This field only accepts active prices: {id}", f"{param}[price]")
        return price
    return None


def new_item(unit: Unit, subscription: Obj, given: Params, param: str) -> Obj:
    price = chosen_price(unit, given, param)
    if price is None:
        raise invalid(f"Missing required param: {param}[price].", f"{param}[price]", "parameter_missing")
    if price["type"] != "recurring":
        message = f"The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`: {price['id']}"
        raise invalid(message, f"{param}[price]")
    if price["currency"] != subscription["currency"]:
        raise invalid(f"The price specified only supports `{price['currency']}`.", f"{param}[price]")
    item = blank(
        "subscription_item",
        id=new_id("si", 14),
        created=unit.now(subscription),
        metadata={},
        price=price["id"],
        subscription=subscription["id"],
        tax_rates=[],
    )
    merge_metadata(item, given.get("metadata"))
    item["_billed"] = None
    if not pricing.is_metered(price):
        item["quantity"] = given.get("quantity", 1)
    elif "quantity" in given:
        message = "You cannot set the quantity for metered plans."
        raise invalid(message, f"{param}[quantity]")
    unit.add({"id": item["id"], "object": "subscription_item", "_subscription": subscription["id"], "created": item["created"]})
    return item


def set_period(unit: Unit, subscription: Obj, item: Obj, start: int) -> tuple[int, int]:
    """From `start` to the next boundary of the subscription's grid; returns the whole grid period around it."""
    name, count = pricing.interval(price_of(unit, item))
    grid = periods.around(subscription["billing_cycle_anchor"], name, count, start)
    item["current_period_start"], item["current_period_end"] = start, grid[1]
    return grid


def next_end(subscription: Obj) -> int:
    end: int = min(item["current_period_end"] for item in subscription["_items"])
    return end


def end_named(subscription: Obj, chosen: int | str) -> int:
    """A date to cancel at: given, or the earliest or latest period end (items may have different intervals)."""
    if isinstance(chosen, int):
        return chosen
    ends = [item["current_period_end"] for item in subscription["_items"]]
    end: int = min(ends) if chosen == "min_period_end" else max(ends)
    return end


def item_view(unit: Unit, item: Obj) -> Obj:
    shown = {key: value for key, value in item.items() if not key.startswith("_")}
    shown["price"] = view(unit, price_of(unit, item))
    return shown


def find(unit: Unit, id: str) -> tuple[Obj, Obj]:
    """A subscription item and its subscription."""
    stub = unit.need("subscription_item", id)
    subscription = unit.need("subscription", stub["_subscription"])
    for item in subscription["_items"]:
        if item["id"] == id:
            return item, subscription
    raise invalid(f"No such subscription item: '{id}'", "item", "resource_missing")


@embeds("subscription")
def _embed(unit: Unit, subscription: Obj, shown: Obj) -> None:
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    shown["items"] = whole(url, [item_view(unit, item) for item in subscription["_items"]])


@includes("customer", "subscriptions")
def _of_customer(unit: Unit, customer: Obj) -> Any:
    found = unit.find("subscription", customer=customer["id"])
    running = [view(unit, each) for each in found if each["status"] not in ("canceled", "incomplete_expired")]
    return whole(f"/v1/customers/{customer['id']}/subscriptions", running)
