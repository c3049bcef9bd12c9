"""Test clocks: time that stands still until it is told to go on, and then brings everything that was due, in order."""

from contextmcp.local.stripe import jobs, periods, pricing
from contextmcp.local.stripe.ending import OVER
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit
from contextmcp.local.stripe.items import price_of
from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.unit import Unit

INTERVALS_AT_ONCE = 2


def furthest(unit: Unit, clock: Obj) -> int | None:
    """Two intervals of the shortest subscription on it: what Stripe allows at most in one call."""
    reach: list[int] = []
    for subscription in unit.find("subscription", clock=clock["id"]):
        if subscription["status"] in OVER:
            continue
        for item in subscription["_items"]:
            name, count = pricing.interval(price_of(unit, item))
            reach.append(periods.shift(clock["frozen_time"], name, INTERVALS_AT_ONCE * count))
    return min(reach, default=None)


def advance(unit: Unit, clock: Obj, target: int) -> None:
    """Bring everything due until `target`, each at its own time."""
    if target <= clock["frozen_time"]:
        raise invalid("Cannot advance a test clock to a time in the past.", "frozen_time")
    limit = furthest(unit, clock)
    if limit is not None and target > limit:
        message = (
            "Cannot advance more than 2 intervals from the frozen time based on the shortest subscription interval. "
            f"The furthest that this clock may go now is {limit}."
        )
        raise invalid(message, "frozen_time")
    clock["status"] = "advancing"
    clock["status_details"] = {"advancing": {"target_frozen_time": target}}
    unit.save(clock)
    emit(unit, "test_helpers.test_clock.advancing", clock)
    clock["_now"] = clock["frozen_time"]
    while (job := jobs.next_due(unit, clock["id"], target)) is not None:
        clock["_now"] = max(job[3], clock["_now"])
        jobs.run(unit, job)
    clock.pop("_now")
    clock["frozen_time"] = target
    clock["status"] = "ready"
    clock["status_details"] = {}
    unit.save(clock)
    emit(unit, "test_helpers.test_clock.ready", clock)
