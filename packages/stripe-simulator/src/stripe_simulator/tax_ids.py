"""Tax IDs of customers, which are printed on their invoices."""

from stripe_simulator.defaults import new_object
from stripe_simulator.events import emit
from stripe_simulator.types import Obj, new_id
from stripe_simulator.unit_of_work import Unit


def create(unit: Unit, customer: Obj, kind: str, value: str) -> Obj:
    tax_id = new_object(
        "tax_id",
        id=new_id("txi", 24),
        country=kind[:2].upper(),
        created=unit.now(customer),
        customer=customer["id"],
        owner={"type": "customer", "customer": customer["id"]},
        type=kind,
        value=value,
        verification={"status": "pending", "verified_address": None, "verified_name": None},
    )
    unit.add(tax_id)
    emit(unit, "customer.tax_id.created", tax_id)
    return tax_id


def of_customer(unit: Unit, customer: str) -> list[Obj]:
    """Return the customer's tax IDs, the newest first."""
    return [each for each in unit.find("tax_id", customer=customer) if not each.get("deleted")]
