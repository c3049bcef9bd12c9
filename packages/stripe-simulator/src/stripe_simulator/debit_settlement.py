"""The late result of a direct debit, and its effects on the invoice and the Checkout session."""

from stripe_simulator import charges, debits, invoice_collection, jobs
from stripe_simulator.events import emit
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit


@jobs.handles("debit")
def _settle(unit: Unit, intent: Obj) -> None:
    if intent["status"] != "processing":
        return
    method = unit.require("payment_method", intent["payment_method"])
    outcome = debits.settle(unit, intent, method)
    charge = unit.require("charge", intent["latest_charge"])
    if outcome == "succeeded":
        charge["balance_transaction"] = charges.balance_transaction(unit, charge, charge["amount"], "charge")["id"]
    else:
        # The charge keeps the date of the debit. This transaction has the date on which the bank returned it.
        reversal = charges.balance_transaction(unit, charge, -charge["amount"], "payment_failure_refund")
        reversal["reporting_category"] = "charge_failure"
        charge["failure_balance_transaction"] = reversal["id"]
    unit.save(charge)
    invoice = unit.get(intent.get("_invoice") or "")
    if invoice is not None and invoice["status"] == "open":
        invoice_collection.apply_outcome(unit, invoice, method, outcome)
    for session in _sessions(unit, intent, invoice):
        session["payment_status"] = "paid" if outcome == "succeeded" else "unpaid"
        unit.save(session)
        emit(unit, f"checkout.session.async_payment_{outcome}", session)


def _sessions(unit: Unit, intent: Obj, invoice: Obj | None) -> list[Obj]:
    """Return the session that this payment belongs to: it is complete, but not paid yet."""
    if invoice is None:
        sessions = unit.find("checkout.session", tag=intent["id"])
    else:
        sessions = [each for each in unit.find("checkout.session", customer=invoice["customer"]) if each["invoice"] == invoice["id"]]
    return [each for each in sessions if each["status"] == "complete" and each["payment_status"] == "unpaid"]
