"""Charges: every attempt to charge a payment method."""

from stripe_simulator.defaults import merge_metadata
from stripe_simulator.events import updated
from stripe_simulator.lists import embedded_list, page
from stripe_simulator.render import includes, view
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


@route("GET", "/v1/charges/{charge}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("charge", p["charge"])


@route("POST", "/v1/charges/{charge}")
def update(unit: Unit, p: Params) -> Obj:
    charge = unit.require("charge", p["charge"])
    charge |= {name: p[name] for name in ("description", "receipt_email") if name in p}
    merge_metadata(charge, p.get("metadata"))
    updated(unit, charge)
    return charge


@route("GET", "/v1/charges")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/charges", unit.find("charge", customer=p.get("customer"), parent=p.get("payment_intent")), p)


@route("GET", "/v1/charges/{charge}/refunds")
def refunds(unit: Unit, p: Params) -> Obj:
    return page(f"/v1/charges/{p['charge']}/refunds", unit.find("refund", parent=p["charge"]), p)


@route("GET", "/v1/balance_transactions/{id}")
def balance_transaction(unit: Unit, p: Params) -> Obj:
    return unit.require("balance_transaction", p["id"])


@route("GET", "/v1/balance_transactions")
def balance_transactions(unit: Unit, p: Params) -> Obj:
    objects = unit.find("balance_transaction")
    for name in ("source", "type", "currency"):
        if name in p:
            objects = [entry for entry in objects if entry[name] == p[name]]
    return page("/v1/balance_transactions", objects, p)


@includes("charge", "refunds")
def _refunds(unit: Unit, charge: Obj) -> Obj:
    objects = unit.find("refund", parent=charge["id"])
    return embedded_list(f"/v1/charges/{charge['id']}/refunds", [view(unit, refund) for refund in objects])
