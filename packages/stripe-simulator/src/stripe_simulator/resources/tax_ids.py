"""Tax IDs of customers."""

from stripe_simulator import tax_ids
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit
from stripe_simulator.lists import embedded_list, page
from stripe_simulator.render import includes, view
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


@route("POST", "/v1/customers/{customer}/tax_ids")
def create(unit: Unit, p: Params) -> Obj:
    return tax_ids.create(unit, unit.require("customer", p["customer"]), p["type"], p["value"])


@route("GET", "/v1/customers/{customer}/tax_ids")
def index(unit: Unit, p: Params) -> Obj:
    customer = unit.require("customer", p["customer"])
    return page(f"/v1/customers/{customer['id']}/tax_ids", tax_ids.of_customer(unit, customer["id"]), p)


@route("GET", "/v1/customers/{customer}/tax_ids/{id}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return _require(unit, p)


@route("DELETE", "/v1/customers/{customer}/tax_ids/{id}")
def delete(unit: Unit, p: Params) -> Obj:
    tax_id = _require(unit, p)
    emit(unit, "customer.tax_id.deleted", tax_id)
    return unit.tombstone(tax_id)


def _require(unit: Unit, p: Params) -> Obj:
    tax_id = unit.require("tax_id", p["id"])
    if tax_id["customer"] != p["customer"]:
        raise invalid(f"No such tax ID: '{p['id']}'", "id", "resource_missing")
    return tax_id


@includes("customer", "tax_ids")
def _tax_ids(unit: Unit, customer: Obj) -> Obj:
    rows = [view(unit, each) for each in tax_ids.of_customer(unit, customer["id"])]
    return embedded_list(f"/v1/customers/{customer['id']}/tax_ids", rows)
