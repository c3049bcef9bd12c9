"""Subscription items. Each operation is a change of the whole subscription."""

from stripe_simulator import items
from stripe_simulator.lists import page
from stripe_simulator.parameters import omit
from stripe_simulator.render import already_rendered
from stripe_simulator.routes.match import route
from stripe_simulator.subscriptions import changes
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit

OF_ITEM = ("price", "price_data", "quantity", "metadata", "discounts", "tax_rates", "billing_thresholds", "clear_usage")


def _split(p: Params) -> tuple[Params, Params]:
    return omit(p, set(p) - set(OF_ITEM)), omit(p, OF_ITEM)


@route("POST", "/v1/subscription_items")
def create(unit: Unit, p: Params) -> Obj:
    subscription = unit.require("subscription", p.pop("subscription"), "subscription")
    known = {item["id"] for item in subscription["_items"]}
    of_item, rest = _split(p)
    changes.change(unit, subscription, rest | {"items": [of_item]})
    created = next(item for item in subscription["_items"] if item["id"] not in known)
    return already_rendered(items.item_view(unit, created))


@route("GET", "/v1/subscription_items/{item}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return already_rendered(items.item_view(unit, items.find(unit, p["item"])[0]))


@route("POST", "/v1/subscription_items/{item}")
def update(unit: Unit, p: Params) -> Obj:
    id = p.pop("item")
    item, subscription = items.find(unit, id)
    of_item, rest = _split(p)
    changes.change(unit, subscription, rest | {"items": [of_item | {"id": id}]})
    return already_rendered(items.item_view(unit, item))


@route("DELETE", "/v1/subscription_items/{item}")
def delete(unit: Unit, p: Params) -> Obj:
    id = p.pop("item")
    _, subscription = items.find(unit, id)
    of_item, rest = _split(p)
    changes.change(unit, subscription, rest | {"items": [of_item | {"id": id, "deleted": True}]})
    return already_rendered({"id": id, "object": "subscription_item", "deleted": True})


@route("GET", "/v1/subscription_items")
def index(unit: Unit, p: Params) -> Obj:
    subscription = unit.require("subscription", p["subscription"], "subscription")
    listed = page("/v1/subscription_items", subscription["_items"], p)
    listed["data"] = [items.item_view(unit, item) for item in listed.pop("_listed")]
    return {"object": "list", "_shown": listed}
