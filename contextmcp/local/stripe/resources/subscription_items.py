"""Subscription items, one at a time: each change goes the way of a change of the whole subscription."""

from contextmcp.local.stripe import items
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.life import change
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.parameters import without
from contextmcp.local.stripe.render import shown
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.unit import Unit

OF_ITEM = ("price", "price_data", "quantity", "metadata", "discounts", "tax_rates", "billing_thresholds", "clear_usage")


def _split(p: Params) -> tuple[Params, Params]:
    return without(p, set(p) - set(OF_ITEM)), without(p, OF_ITEM)


@answers("POST", "/v1/subscription_items")
def create(unit: Unit, p: Params) -> Obj:
    subscription = unit.need("subscription", p.pop("subscription"), "subscription")
    known = {item["id"] for item in subscription["_items"]}
    of_item, rest = _split(p)
    change.change(unit, subscription, rest | {"items": [of_item]})
    made = next(item for item in subscription["_items"] if item["id"] not in known)
    return shown(items.item_view(unit, made))


@answers("GET", "/v1/subscription_items/{item}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return shown(items.item_view(unit, items.find(unit, p["item"])[0]))


@answers("POST", "/v1/subscription_items/{item}")
def update(unit: Unit, p: Params) -> Obj:
    id = p.pop("item")
    item, subscription = items.find(unit, id)
    of_item, rest = _split(p)
    change.change(unit, subscription, rest | {"items": [of_item | {"id": id}]})
    return shown(items.item_view(unit, item))


@answers("DELETE", "/v1/subscription_items/{item}")
def delete(unit: Unit, p: Params) -> Obj:
    id = p.pop("item")
    _, subscription = items.find(unit, id)
    of_item, rest = _split(p)
    change.change(unit, subscription, rest | {"items": [of_item | {"id": id, "deleted": True}]})
    return shown({"id": id, "object": "subscription_item", "deleted": True})


@answers("GET", "/v1/subscription_items")
def index(unit: Unit, p: Params) -> Obj:
    subscription = unit.need("subscription", p["subscription"], "subscription")
    listed = page("/v1/subscription_items", subscription["_items"], p)
    listed["data"] = [items.item_view(unit, item) for item in listed.pop("_listed")]
    return {"object": "list", "_shown": listed}
