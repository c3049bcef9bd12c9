"""Charges of a payment intent, and their balance transactions."""

from stripe_simulator import cards
from stripe_simulator.defaults import new_object
from stripe_simulator.events import emit
from stripe_simulator.types import Obj, new_id
from stripe_simulator.unit_of_work import Unit


def create(unit: Unit, intent: Obj, method: Obj, reason: tuple[str, str | None] | None) -> Obj:
    now = unit.now(intent)
    waits = intent["capture_method"] == "manual"
    charge = new_object(
        "charge",
        id=new_id("ch", 24),
        amount=intent["amount"],
        amount_captured=0 if reason or waits else intent["amount"],
        billing_details=method["billing_details"],
        calculated_statement_descriptor="CONTEXTMCP",
        captured=not reason and not waits,
        created=now,
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        failure_code=reason and reason[0],
        failure_message=reason and cards.message_of(reason),
        fraud_details={},
        metadata=intent["metadata"],
        outcome=_outcome(reason),
        paid=not reason,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={"card": _details(method, intent["amount"]), "type": "card"},
        status="failed" if reason else "succeeded",
    )
    unit.add(charge)
    if reason:
        emit(unit, "charge.failed", charge)
        return charge
    charge["receipt_url"] = f"{unit.base_url}/receipts/{charge['id']}"
    if not waits:
        charge["balance_transaction"] = balance_transaction(unit, charge, charge["amount"], "charge")["id"]
    emit(unit, "charge.succeeded", charge)
    return charge


def _outcome(reason: tuple[str, str | None] | None) -> Obj:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if reason else "approved_by_network",
        "reason": reason and (reason[1] or reason[0]),
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "The bank did not return any further details with this decline." if reason else "Payment complete.",
        "type": "issuer_declined" if reason else "authorized",
    }


def _details(method: Obj, amount: int) -> Obj:
    card = method["card"]
    shared = {key: card[key] for key in ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "checks")}
    details = new_object("payment_method_details_card", amount_authorized=amount, network=card["brand"], **shared)
    details["regulated_status"] = "unregulated"
    return details


def balance_transaction(unit: Unit, source: Obj, amount: int, kind: str) -> Obj:
    fee = round(amount * 0.029) + 30 if kind == "charge" else 0
    now = unit.now(source)
    fees = [
        {"amount": fee, "application": None, "currency": source["currency"], "description": "Stripe processing fees", "type": "stripe_fee"}
    ]
    return unit.add(
        new_object(
            "balance_transaction",
            id=new_id("txn", 24),
            amount=amount,
            available_on=now + 2 * 86_400,
            balance_type="payments",
            created=now,
            currency=source["currency"],
            fee=fee,
            fee_details=fees if fee else [],
            net=amount - fee,
            reporting_category=kind,
            source=source["id"],
            status="pending",
            type=kind,
        )
    )
