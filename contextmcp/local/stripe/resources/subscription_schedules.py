"""Subscription schedules: changes that are agreed now and happen later."""

from contextmcp.local.stripe import ending, jobs
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj, Params, new_id
from contextmcp.local.stripe.life import phases, roll, start
from contextmcp.local.stripe.lists import bounds, page, within
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import SELF, blank, merge_metadata
from contextmcp.local.stripe.unit import Unit


@answers("POST", "/v1/subscription_schedules")
def create(unit: Unit, p: Params) -> Obj:
    if id := p.get("from_subscription"):
        if set(p) - {"from_subscription", "billing_mode"}:
            raise invalid("You cannot set other parameters if `from_subscription` is set.", "from_subscription")
        subscription = unit.need("subscription", id, "from_subscription")
        if subscription["schedule"]:
            message = f"You cannot migrate a subscription that is already attached to a schedule: {subscription['schedule']}."
            raise invalid(message, "from_subscription")
        if subscription["status"] in ending.OVER:
            raise invalid("The subscription is over: it cannot have a schedule.", "from_subscription")
        schedule = _new(unit, subscription["customer"], p)
        schedule["phases"] = [phases.from_subscription(unit, subscription)]
        return _begin(unit, schedule, subscription)
    customer = unit.need("customer", p.get("customer", ""), "customer")
    if not p.get("phases"):
        raise invalid("Missing required param: phases.", "phases", "parameter_missing")
    now = unit.now(customer)
    begin = now if p.get("start_date", "now") == "now" else p["start_date"]
    schedule = _new(unit, customer["id"], p)
    schedule["phases"] = phases.read(unit, p["phases"], begin, now, None)
    if begin > now:
        unit.add(schedule)
        emit(unit, "subscription_schedule.created", schedule)
        jobs.schedule(unit, "schedule_phase", schedule, begin)
        return schedule
    return _begin(unit, schedule, _subscribe(unit, customer, schedule["phases"][0]))


def _subscribe(unit: Unit, customer: Obj, phase: Obj) -> Obj:
    given: Params = {"items": [{name: row[name] for name in ("price", "quantity") if name in row} for row in phase["items"]]}
    if phase["trial_end"]:
        given["trial_end"] = phase["trial_end"]
    return start.start(unit, customer, {**given, "metadata": phase["metadata"]})


def _new(unit: Unit, customer: str, p: Params) -> Obj:
    schedule = blank(
        "subscription_schedule",
        id=new_id("sub_sched", 24),
        billing_mode={"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        created=unit.now(customer),
        customer=customer,
        default_settings=blank(
            "subscription_schedules_resource_default_settings",
            billing_cycle_anchor="automatic",
            collection_method="charge_automatically",
            invoice_settings={"account_tax_ids": None, "days_until_due": None, "issuer": SELF},
        ),
        end_behavior=p.get("end_behavior", "release"),
        metadata={},
        status="not_started",
        test_clock=unit.clock_of(customer),
    )
    merge_metadata(schedule, p.get("metadata"))
    return schedule


def _begin(unit: Unit, schedule: Obj, subscription: Obj) -> Obj:
    schedule["subscription"] = subscription["id"]
    schedule["status"] = "active"
    unit.add(schedule)
    phases.place(unit, schedule)
    subscription["schedule"] = schedule["id"]
    emit(unit, "subscription_schedule.created", schedule)
    updated(unit, subscription, "customer.subscription")
    return schedule


@jobs.does("schedule_phase")
def _due(unit: Unit, schedule: Obj) -> None:
    if schedule["status"] == "not_started":
        customer = unit.need("customer", schedule["customer"])
        subscription = _subscribe(unit, customer, schedule["phases"][0])
        schedule |= {"subscription": subscription["id"], "status": "active"}
        phases.place(unit, schedule)
        subscription["schedule"] = schedule["id"]
        updated(unit, subscription, "customer.subscription")
        updated(unit, schedule)
    else:
        phases.advance(unit, schedule)


@answers("GET", "/v1/subscription_schedules/{schedule}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("subscription_schedule", p["schedule"])


def _running(unit: Unit, id: str) -> Obj:
    schedule = unit.need("subscription_schedule", id)
    if schedule["status"] not in ("active", "not_started"):
        message = f"You cannot change a subscription schedule that is currently in the `{schedule['status']}` status."
        raise invalid(message, code="invalid_schedule_status")
    return schedule


@answers("POST", "/v1/subscription_schedules/{schedule}")
def update(unit: Unit, p: Params) -> Obj:
    schedule = _running(unit, p["schedule"])
    schedule["end_behavior"] = p.get("end_behavior", schedule["end_behavior"])
    merge_metadata(schedule, p.get("metadata"))
    if "phases" in p:
        now = unit.now(schedule)
        current = schedule["current_phase"]
        if current and "start_date" not in p["phases"][0]:
            raise invalid("The current phase must be given with its `start_date`.", "phases[0][start_date]", "parameter_missing")
        schedule["phases"] = phases.read(unit, p["phases"], now, now, None)
        phase = phases.place(unit, schedule)
        subscription = unit.get(schedule["subscription"] or "")
        if phase is not None and subscription is not None:
            phases.apply(unit, subscription, {**phase, "proration_behavior": p.get("proration_behavior", phase["proration_behavior"])})
    updated(unit, schedule)
    return schedule


@answers("POST", "/v1/subscription_schedules/{schedule}/release")
def release(unit: Unit, p: Params) -> Obj:
    schedule = _running(unit, p["schedule"])
    phases.release(unit, schedule)
    return schedule


@answers("POST", "/v1/subscription_schedules/{schedule}/cancel")
def cancel(unit: Unit, p: Params) -> Obj:
    schedule = _running(unit, p["schedule"])
    invoice_now, prorate = p.get("invoice_now", True), p.get("prorate", True)
    subscription = unit.get(schedule["subscription"] or "")
    jobs.cancel(unit, schedule)
    if subscription is None:
        schedule |= {"status": "canceled", "canceled_at": unit.now(schedule)}
        unit.save(schedule)
        emit(unit, "subscription_schedule.canceled", schedule)
        return schedule
    if invoice_now:
        roll.final_invoice(unit, subscription, prorate=prorate, collect=True)
    ending.end(unit, subscription)
    return schedule


@answers("GET", "/v1/subscription_schedules")
def index(unit: Unit, p: Params) -> Obj:
    found = unit.find("subscription_schedule", customer=p.get("customer"))
    if p.get("scheduled"):
        found = [schedule for schedule in found if schedule["status"] == "not_started"]
    for name in ("canceled_at", "completed_at", "released_at"):
        if asked := bounds(p, name):
            found = [schedule for schedule in found if schedule[name] and within(schedule[name], asked)]
    return page("/v1/subscription_schedules", found, p)
