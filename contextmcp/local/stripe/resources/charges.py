"""Charges: each attempt on a card."""

from contextmcp.local.stripe.events import updated
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.lists import page, whole
from contextmcp.local.stripe.render import includes, view
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import merge_metadata
from contextmcp.local.stripe.unit import Unit


@answers("GET", "/v1/charges/{charge}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("charge", p["charge"])


@answers("POST", "/v1/charges/{charge}")
def update(unit: Unit, p: Params) -> Obj:
    charge = unit.need("charge", p["charge"])
    charge |= {name: p[name] for name in ("description", "receipt_email") if name in p}
    merge_metadata(charge, p.get("metadata"))
    updated(unit, charge)
    return charge


@answers("GET", "/v1/charges")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/charges", unit.find("charge", customer=p.get("customer"), parent=p.get("payment_intent")), p)


@answers("GET", "/v1/charges/{charge}/refunds")
def refunds(unit: Unit, p: Params) -> Obj:
    return page(f"/v1/charges/{p['charge']}/refunds", unit.find("refund", parent=p["charge"]), p)


@answers("GET", "/v1/balance_transactions/{id}")
def balance_transaction(unit: Unit, p: Params) -> Obj:
    return unit.need("balance_transaction", p["id"])


@answers("GET", "/v1/balance_transactions")
def balance_transactions(unit: Unit, p: Params) -> Obj:
    found = unit.find("balance_transaction")
    for name in ("source", "type", "currency"):
        if name in p:
            found = [entry for entry in found if entry[name] == p[name]]
    return page("/v1/balance_transactions", found, p)


@includes("charge", "refunds")
def _refunds(unit: Unit, charge: Obj) -> Obj:
    found = unit.find("refund", parent=charge["id"])
    return whole(f"/v1/charges/{charge['id']}/refunds", [view(unit, refund) for refund in found])
