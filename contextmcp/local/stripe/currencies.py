"""One currency per customer: what is active in one forbids anything in another."""

from contextmcp.local.stripe.ending import OVER
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.unit import Unit


def need(unit: Unit, customer: Obj, currency: str, param: str = "currency") -> None:
    """Refuse a currency other than the customer's while something of theirs is active in theirs; adopt it otherwise."""
    currency = currency.lower()
    mine = customer["currency"]
    if mine is None or mine == currency:
        return
    if customer["balance"] or _active(unit, customer["id"], mine):
        message = (
            "You cannot combine currencies on a single customer. This customer has an active subscription, subscription schedule, "
            f"discount, quote, or invoice item with currency {mine}."
        )
        raise invalid(message, param)
    customer["currency"] = currency
    unit.save(customer)


def _active(unit: Unit, customer: str, currency: str) -> bool:
    running = [each for each in unit.find("subscription", customer=customer) if each["status"] not in OVER]
    planned = [each for each in unit.find("subscription_schedule", customer=customer) if each["status"] == "not_started"]
    waiting = unit.find("invoiceitem", customer=customer, parent="pending")
    return any(each["currency"] == currency for each in (*running, *waiting)) or any(
        phase["currency"] == currency for each in planned for phase in each["phases"]
    )
