"""Test clocks: create, advance and delete them with everything attached to them."""

import time

from stripe_simulator import clock
from stripe_simulator.defaults import new_object
from stripe_simulator.errors import Refusal, invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import page
from stripe_simulator.render import already_rendered, view
from stripe_simulator.routes.match import route
from stripe_simulator.types import DAY, Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit

OWNED = ("subscription", "invoice", "invoiceitem", "subscription_schedule")


@route("POST", "/v1/test_helpers/test_clocks")
def create(unit: Unit, p: Params) -> Obj:
    now = int(time.time())
    clock_object = new_object(
        "test_helpers.test_clock",
        id=new_id("clock", 24),
        created=now,
        deletes_after=now + 30 * DAY,
        frozen_time=p["frozen_time"],
        name=p.get("name"),
        status="ready",
        status_details={},
    )
    unit.add(clock_object)
    emit(unit, "test_helpers.test_clock.created", clock_object)
    if customer := p.get("customer"):
        attach_customer(unit, customer, clock_object["id"])
    return clock_object


def attach_customer(unit: Unit, customer_id: str, clock_id: str | None) -> Obj:
    """Attach an existing customer and all related objects to a clock."""
    customer = unit.require("customer", customer_id, "customer")
    if customer["test_clock"]:
        raise invalid(f"Customer {customer_id} is already on a test clock.", "customer")
    clock_object = unit.require("test_helpers.test_clock", clock_id or "", "test_clock")
    customer["test_clock"] = clock_object["id"]
    subjects = [customer["id"]]
    for kind in OWNED:
        for owned in unit.find(kind, customer=customer["id"]):
            owned["test_clock"] = clock_object["id"]
            unit.save(owned)
            subjects.append(owned["id"])
    for subject in subjects:
        unit.store.run("UPDATE jobs SET clock = ? WHERE subject = ?", (clock_object["id"], subject))
    updated(unit, customer)
    return customer


@route("GET", "/v1/test_helpers/test_clocks/{test_clock}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("test_helpers.test_clock", p["test_clock"])


@route("POST", "/v1/test_helpers/test_clocks/{test_clock}/advance")
def advance(unit: Unit, p: Params) -> Obj:
    """Advance the clock. The work is done when this returns, but as at Stripe the response says "advancing" and the next one "ready"."""
    clock_object = unit.require("test_helpers.test_clock", p["test_clock"])
    if clock_object["status"] != "ready":
        raise Refusal("Test clock advancement underway - cannot perform modifications.", status=429, code="lock_timeout")
    before = view(unit, clock_object)
    clock.advance(unit, clock_object, p["frozen_time"])
    details = {"advancing": {"target_frozen_time": p["frozen_time"]}}
    return already_rendered({**before, "status": "advancing", "status_details": details})


@route("DELETE", "/v1/test_helpers/test_clocks/{test_clock}")
def delete(unit: Unit, p: Params) -> Obj:
    clock_object = unit.require("test_helpers.test_clock", p["test_clock"])
    for customer in unit.find("customer", clock=clock_object["id"]):
        for kind in OWNED:
            for owned in unit.find(kind, customer=customer["id"]):
                unit.tombstone(owned)
        unit.tombstone(customer)
    unit.store.run("DELETE FROM jobs WHERE clock = ?", (clock_object["id"],))
    emit(unit, "test_helpers.test_clock.deleted", clock_object)
    return unit.tombstone(clock_object)


@route("GET", "/v1/test_helpers/test_clocks")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/test_helpers/test_clocks", unit.find("test_helpers.test_clock"), p)
