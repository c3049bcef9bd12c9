"""Test clocks: made, advanced, deleted with everything that hangs on them."""

import time

from contextmcp.local.stripe import clock
from contextmcp.local.stripe.errors import Refusal, invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import DAY, Obj, Params, new_id
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.render import shown, view
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import blank
from contextmcp.local.stripe.unit import Unit

OWNED = ("subscription", "invoice", "invoiceitem", "subscription_schedule")


@answers("POST", "/v1/test_helpers/test_clocks")
def create(unit: Unit, p: Params) -> Obj:
    now = int(time.time())
    made = blank(
        "test_helpers.test_clock",
        id=new_id("clock", 24),
        created=now,
        deletes_after=now + 30 * DAY,
        frozen_time=p["frozen_time"],
        name=p.get("name"),
        status="ready",
        status_details={},
    )
    unit.add(made)
    emit(unit, "test_helpers.test_clock.created", made)
    if customer := p.get("customer"):
        hang_on(unit, customer, made["id"])
    return made


def hang_on(unit: Unit, customer_id: str, clock_id: str | None) -> Obj:
    """Move an existing customer, with all that is theirs, onto a clock."""
    customer = unit.need("customer", customer_id, "customer")
    if customer["test_clock"]:
        raise invalid(f"Customer {customer_id} is already on a test clock.", "customer")
    found = unit.need("test_helpers.test_clock", clock_id or "", "test_clock")
    customer["test_clock"] = found["id"]
    subjects = [customer["id"]]
    for kind in OWNED:
        for owned in unit.find(kind, customer=customer["id"]):
            owned["test_clock"] = found["id"]
            unit.save(owned)
            subjects.append(owned["id"])
    for subject in subjects:
        unit.store.run("UPDATE jobs SET clock = ? WHERE subject = ?", (found["id"], subject))
    updated(unit, customer)
    return customer


@answers("GET", "/v1/test_helpers/test_clocks/{test_clock}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("test_helpers.test_clock", p["test_clock"])


@answers("POST", "/v1/test_helpers/test_clocks/{test_clock}/advance")
def advance(unit: Unit, p: Params) -> Obj:
    """The work is done when this answers, but the answer is Stripe's: still advancing. The next look says ready."""
    found = unit.need("test_helpers.test_clock", p["test_clock"])
    if found["status"] != "ready":
        raise Refusal("Test clock advancement underway - cannot perform modifications.", status=429, code="lock_timeout")
    before = view(unit, found)
    clock.advance(unit, found, p["frozen_time"])
    details = {"advancing": {"target_frozen_time": p["frozen_time"]}}
    return shown({**before, "status": "advancing", "status_details": details})


@answers("DELETE", "/v1/test_helpers/test_clocks/{test_clock}")
def delete(unit: Unit, p: Params) -> Obj:
    found = unit.need("test_helpers.test_clock", p["test_clock"])
    for customer in unit.find("customer", clock=found["id"]):
        for kind in OWNED:
            for owned in unit.find(kind, customer=customer["id"]):
                unit.tombstone(owned)
        unit.tombstone(customer)
    unit.store.run("DELETE FROM jobs WHERE clock = ?", (found["id"],))
    emit(unit, "test_helpers.test_clock.deleted", found)
    return unit.tombstone(found)


@answers("GET", "/v1/test_helpers/test_clocks")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/test_helpers/test_clocks", unit.find("test_helpers.test_clock"), p)
