"""Aggregate the meter events of a customer between two times."""

from decimal import Decimal

from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit


def events(unit: Unit, meter: Obj, customer: str, start: int, end: int) -> list[Obj]:
    objects = unit.find("billing.meter_event", parent=meter["event_name"], customer=customer, oldest_first=True)
    return [event for event in objects if start <= event["timestamp"] < end and not event.get("_cancelled")]


def aggregate(meter: Obj, events: list[Obj]) -> Decimal:
    values = [Decimal(event["_value"]) for event in events]
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(values))
    if formula == "last":
        latest = max(events, key=lambda event: event["timestamp"], default=None)
        return Decimal(latest["_value"]) if latest else Decimal(0)
    return sum(values, Decimal(0))


def billable_quantity(unit: Unit, price: Obj, customer: str, start: int, end: int) -> Decimal:
    """Return the quantity to bill for a metered price, which is never negative."""
    meter = unit.require("billing.meter", price["recurring"]["meter"])
    return max(aggregate(meter, events(unit, meter, customer, start, end)), Decimal(0))
