"""Test clocks: time stands still until the clock is advanced; then everything that became due runs in order."""

from stripe_simulator import jobs, periods, pricing
from stripe_simulator.cancellation import TERMINAL_STATUSES
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit
from stripe_simulator.items import price_of
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit

MAX_INTERVALS = 2


def latest_target(unit: Unit, clock: Obj) -> int | None:
    """Return the latest time that Stripe allows in one call: two intervals of the shortest subscription on the clock."""
    reach: list[int] = []
    for subscription in unit.find("subscription", clock=clock["id"]):
        if subscription["status"] in TERMINAL_STATUSES:
            continue
        for item in subscription["_items"]:
            name, count = pricing.interval(price_of(unit, item))
            reach.append(periods.shift(clock["frozen_time"], name, MAX_INTERVALS * count))
    return min(reach, default=None)


def advance(unit: Unit, clock: Obj, target: int) -> None:
    """Run everything that is due until `target` (Unix seconds), each job at its due time."""
    if target <= clock["frozen_time"]:
        raise invalid("Cannot advance a test clock to a time in the past.", "frozen_time")
    limit = latest_target(unit, clock)
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
