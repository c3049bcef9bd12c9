"""Prices."""

from stripe_simulator import catalog
from stripe_simulator.defaults import merge_metadata
from stripe_simulator.events import updated
from stripe_simulator.lists import page
from stripe_simulator.parameters import read_all
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


@route("POST", "/v1/prices")
def create(unit: Unit, p: Params) -> Obj:
    return catalog.new_price(unit, p)


@route("GET", "/v1/prices/{price}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("price", p["price"])


@route("POST", "/v1/prices/{price}")
def update(unit: Unit, p: Params) -> Obj:
    price = unit.require("price", p["price"])
    for name in ("active", "nickname", "tax_behavior"):
        if name in p:
            price[name] = p[name] if p[name] != "" else None
    if p.get("lookup_key") == "":
        price["lookup_key"] = None
    catalog.claim_lookup_key(unit, price, p)
    merge_metadata(price, p.get("metadata"))
    updated(unit, price)
    return price


@route("GET", "/v1/prices")
def index(unit: Unit, p: Params) -> Obj:
    prices = unit.find("price", parent=p.get("product"))
    if "lookup_keys" in p:
        prices = [price for price in prices if price["lookup_key"] in p["lookup_keys"]]
    for name in ("active", "currency", "type"):
        if name in p:
            prices = [price for price in prices if price[name] == p[name]]
    for name, value in read_all(p.get("recurring") or {}).items():
        prices = [price for price in prices if price["recurring"] and price["recurring"][name] == value]
    return page("/v1/prices", prices, p)
