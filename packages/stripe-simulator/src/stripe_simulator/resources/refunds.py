"""Refunds."""

from stripe_simulator import charges
from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import page
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit

REFUNDABLE = ("won", "warning_needs_response", "warning_under_review", "warning_closed")  # an inquiry, which did not withdraw funds


def refund_charge(unit: Unit, charge: Obj, amount: int | None, reason: str | None, metadata: Params | None = None) -> Obj:
    left = charge["amount_captured"] - charge["amount_refunded"]
    if charge["status"] != "succeeded" or left <= 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", "charge", "charge_already_refunded")
    if any(dispute["status"] not in REFUNDABLE for dispute in unit.find("dispute", parent=charge["id"])):
        raise invalid(f"Charge {charge['id']} has been charged back; cannot issue a refund.", "charge", "charge_disputed")
    amount = left if amount is None else amount
    if not 0 < amount <= left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise invalid(message, "amount")
    refund = new_object(
        "refund",
        id=new_id("re", 24),
        amount=amount,
        charge=charge["id"],
        created=unit.now(charge),
        currency=charge["currency"],
        destination_details={
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        metadata={},
        payment_intent=charge["payment_intent"],
        reason=reason,
        status="succeeded",
        _customer=charge["customer"],
    )
    merge_metadata(refund, metadata)
    unit.add(refund)
    refund["balance_transaction"] = charges.balance_transaction(unit, refund, -amount, "refund")["id"]
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    unit.save(charge)
    emit(unit, "refund.created", refund)
    emit(unit, "charge.refunded", charge, previous={"amount_refunded": charge["amount_refunded"] - amount, "refunded": False})
    refund["destination_details"]["card"] |= {"reference": str(abs(hash(refund["id"])) % 10**15), "reference_status": "available"}
    unit.save(refund)
    emit(unit, "refund.updated", refund)
    emit(
        unit,
        "charge.refund.updated",
        refund,
        previous={"destination_details": {"card": {"reference": None, "reference_status": "pending"}}},
    )
    return refund


@route("POST", "/v1/refunds")
def create(unit: Unit, p: Params) -> Obj:
    if p.get("payment_intent"):
        intent = unit.require("payment_intent", p["payment_intent"], "payment_intent")
        if not intent["latest_charge"]:
            raise invalid(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.", "payment_intent")
        charge = unit.require("charge", intent["latest_charge"])
    elif p.get("charge"):
        charge = unit.require("charge", p["charge"], "charge")
    else:
        raise invalid(
            "One of the following params should be provided for this request: payment_intent or charge.", "charge", "parameter_missing"
        )
    return refund_charge(unit, charge, p.get("amount"), p.get("reason"), p.get("metadata"))


@route("GET", "/v1/refunds/{refund}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("refund", p["refund"])


@route("POST", "/v1/refunds/{refund}")
def update(unit: Unit, p: Params) -> Obj:
    refund = unit.require("refund", p["refund"])
    merge_metadata(refund, p.get("metadata"))
    updated(unit, refund)
    return refund


@route("GET", "/v1/refunds")
def index(unit: Unit, p: Params) -> Obj:
    refunds = unit.find("refund", parent=p.get("charge"))
    if "payment_intent" in p:
        refunds = [refund for refund in refunds if refund["payment_intent"] == p["payment_intent"]]
    return page("/v1/refunds", refunds, p)
