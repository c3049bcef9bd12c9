"""One currency per customer: active subscriptions, schedules, items or a balance in one currency exclude any other."""

from stripe_simulator.cancellation import TERMINAL_STATUSES
from stripe_simulator.errors import invalid
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit


def require(unit: Unit, customer: Obj, currency: str, param: str = "currency") -> None:
    """Refuse a different currency while the customer's current one is in use. Otherwise change the customer's currency."""
    currency = currency.lower()
    current = customer["currency"]
    if current is None or current == currency:
        return
    if customer["balance"] or _active(unit, customer["id"], current):
        message = (
            "You cannot combine currencies on a single customer. This customer has an active subscription, subscription schedule, "
            f"discount, quote, or invoice item with currency {current}."
        )
        raise invalid(message, param)
    customer["currency"] = currency
    unit.save(customer)


def _active(unit: Unit, customer: str, currency: str) -> bool:
    running = [each for each in unit.find("subscription", customer=customer) if each["status"] not in TERMINAL_STATUSES]
    planned = [each for each in unit.find("subscription_schedule", customer=customer) if each["status"] == "not_started"]
    waiting = unit.find("invoiceitem", customer=customer, parent="pending")
    return any(each["currency"] == currency for each in (*running, *waiting)) or any(
        phase["currency"] == currency for each in planned for phase in each["phases"]
    )
