"""The balance of a customer: its transactions, and how an invoice uses it."""

from stripe_simulator.defaults import new_object
from stripe_simulator.types import Obj, new_id
from stripe_simulator.unit_of_work import Unit

MINIMUM_CHARGE = {"usd": 50, "eur": 50, "gbp": 30}


def apply_to_invoice(unit: Unit, invoice: Obj, customer: Obj) -> None:
    balance, amount = customer["balance"], invoice["total"]
    invoice["starting_balance"] = balance
    due = max(amount + balance, 0) if amount > 0 else 0
    kind = "applied_to_invoice"
    if 0 < due < MINIMUM_CHARGE.get(invoice["currency"], 1):
        # The amount is below the minimum charge, so it moves to the customer's balance.
        kind, due = "invoice_too_small", 0
        customer["balance"] = balance + amount
    else:
        customer["balance"] = balance + amount - due
    if customer["balance"] != balance:
        add_transaction(unit, customer, customer["balance"] - balance, kind, invoice=invoice["id"], currency=invoice["currency"])
    invoice["ending_balance"] = customer["balance"]
    invoice["amount_due"] = invoice["amount_remaining"] = due
    unit.save(customer)


def add_transaction(unit: Unit, customer: Obj, amount: int, kind: str, *, currency: str, **values: object) -> Obj:
    entry = new_object(
        "customer_balance_transaction",
        id=new_id("cbtxn", 24),
        amount=amount,
        created=unit.now(customer),
        currency=currency,
        customer=customer["id"],
        ending_balance=customer["balance"],
        metadata={},
        type=kind,
    )
    entry.update(values)
    return unit.add(entry)
