"""Prices: what something costs, and how often."""

from contextmcp.local.stripe import catalog
from contextmcp.local.stripe.events import updated
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.parameters import take_all
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import merge_metadata
from contextmcp.local.stripe.unit import Unit


@answers("POST", "/v1/prices")
def create(unit: Unit, p: Params) -> Obj:
    return catalog.new_price(unit, p)


@answers("GET", "/v1/prices/{price}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("price", p["price"])


@answers("POST", "/v1/prices/{price}")
def update(unit: Unit, p: Params) -> Obj:
    price = unit.need("price", p["price"])
    for name in ("active", "nickname", "tax_behavior"):
        if name in p:
            price[name] = p[name] if p[name] != "" else None
    if p.get("lookup_key") == "":
        price["lookup_key"] = None
    catalog.claim_lookup_key(unit, price, p)
    merge_metadata(price, p.get("metadata"))
    updated(unit, price)
    return price


@answers("GET", "/v1/prices")
def index(unit: Unit, p: Params) -> Obj:
    found = unit.find("price", parent=p.get("product"))
    if "lookup_keys" in p:
        found = [price for price in found if price["lookup_key"] in p["lookup_keys"]]
    for name in ("active", "currency", "type"):
        if name in p:
            found = [price for price in found if price[name] == p[name]]
    for name, value in take_all(p.get("recurring") or {}).items():
        found = [price for price in found if price["recurring"] and price["recurring"][name] == value]
    return page("/v1/prices", found, p)
