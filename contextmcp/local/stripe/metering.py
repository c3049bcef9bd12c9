"""What a meter counted for a customer between two moments."""

from decimal import Decimal

from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.unit import Unit


def events(unit: Unit, meter: Obj, customer: str, start: int, end: int) -> list[Obj]:
    found = unit.find("billing.meter_event", parent=meter["event_name"], customer=customer, oldest_first=True)
    return [event for event in found if start <= event["timestamp"] < end and not event.get("_cancelled")]


def aggregate(meter: Obj, found: list[Obj]) -> Decimal:
    values = [Decimal(event["_value"]) for event in found]
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(values))
    if formula == "last":
        latest = max(found, key=lambda event: event["timestamp"], default=None)
        return Decimal(latest["_value"]) if latest else Decimal(0)
    return sum(values, Decimal(0))


def used(unit: Unit, price: Obj, customer: str, start: int, end: int) -> Decimal:
    """The quantity to bill on a metered price; never less than nothing."""
    meter = unit.need("billing.meter", price["recurring"]["meter"])
    return max(aggregate(meter, events(unit, meter, customer, start, end)), Decimal(0))
