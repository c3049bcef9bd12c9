"""A bank's late answer to a direct debit, and what it means for the invoice and the Checkout session that asked."""

from contextmcp.local.stripe import collecting, debits, jobs, payments
from contextmcp.local.stripe.events import emit
from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.unit import Unit


@jobs.does("debit")
def _answered(unit: Unit, intent: Obj) -> None:
    if intent["status"] != "processing":
        return
    method = unit.need("payment_method", intent["payment_method"])
    outcome = debits.settle(unit, intent, method)
    if outcome == "succeeded":
        charge = unit.need("charge", intent["latest_charge"])
        charge["balance_transaction"] = payments.balance_transaction(unit, charge, charge["amount"], "charge")["id"]
    invoice = unit.get(intent.get("_invoice") or "")
    if invoice is not None and invoice["status"] == "open":
        collecting.conclude(unit, invoice, method, outcome)
    for session in _sessions(unit, intent, invoice):
        session["payment_status"] = "paid" if outcome == "succeeded" else "unpaid"
        unit.save(session)
        emit(unit, f"checkout.session.async_payment_{outcome}", session)


def _sessions(unit: Unit, intent: Obj, invoice: Obj | None) -> list[Obj]:
    """The session that this payment was for: it is complete, and still unpaid."""
    if invoice is None:
        found = unit.find("checkout.session", tag=intent["id"])
    else:
        found = [each for each in unit.find("checkout.session", customer=invoice["customer"]) if each["invoice"] == invoice["id"]]
    return [each for each in found if each["status"] == "complete" and each["payment_status"] == "unpaid"]
