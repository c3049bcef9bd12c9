"""Subscription schedules: changes that take effect later."""

from stripe_simulator import cancellation, jobs, payments
from stripe_simulator.defaults import ISSUER_SELF, merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import matches, page, read_filter
from stripe_simulator.parameters import pick
from stripe_simulator.routes.match import route
from stripe_simulator.subscriptions import creation, renewal, schedule_phases
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit


@route("POST", "/v1/subscription_schedules")
def create(unit: Unit, p: Params) -> Obj:
    if id := p.get("from_subscription"):
        if set(p) - {"from_subscription", "billing_mode"}:
            raise invalid("You cannot set other parameters if `from_subscription` is set.", "from_subscription")
        subscription = unit.require("subscription", id, "from_subscription")
        if subscription["schedule"]:
            message = f"You cannot migrate a subscription that is already attached to a schedule: {subscription['schedule']}."
            raise invalid(message, "from_subscription")
        if subscription["status"] in cancellation.TERMINAL_STATUSES:
            raise invalid("The subscription is over: it cannot have a schedule.", "from_subscription")
        schedule = _new(unit, subscription["customer"], p)
        schedule["default_settings"] |= {name: subscription[name] for name in schedule_phases.SETTINGS}
        schedule["default_settings"]["invoice_settings"]["days_until_due"] = subscription["days_until_due"]
        schedule["phases"] = [schedule_phases.from_subscription(unit, subscription)]
        return _begin(unit, schedule, subscription)
    customer = unit.require("customer", p.get("customer", ""), "customer")
    if not p.get("phases"):
        raise invalid("Missing required param: phases.", "phases", "parameter_missing")
    now = unit.now(customer)
    begin = now if p.get("start_date", "now") == "now" else p["start_date"]
    schedule = _new(unit, customer["id"], p)
    _default_settings(unit, schedule, p.get("default_settings") or {})
    schedule["phases"] = schedule_phases.parse_phases(unit, p["phases"], begin, now, None)
    if begin > now:
        unit.add(schedule)
        emit(unit, "subscription_schedule.created", schedule)
        jobs.schedule(unit, "schedule_phase", schedule, begin)
        return schedule
    return _begin(unit, schedule, _subscribe(unit, customer, schedule["phases"][0]))


def _subscribe(unit: Unit, customer: Obj, phase: Obj) -> Obj:
    params: Params = {"items": [{name: row[name] for name in ("price", "quantity") if name in row} for row in phase["items"]]}
    if phase["trial_end"]:
        params["trial_end"] = phase["trial_end"]
    return creation.create(unit, customer, {**params, "metadata": phase["metadata"]})


def _new(unit: Unit, customer: str, p: Params) -> Obj:
    schedule = new_object(
        "subscription_schedule",
        id=new_id("sub_sched", 24),
        billing_mode={"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        created=unit.now(customer),
        customer=customer,
        default_settings=new_object(
            "subscription_schedules_resource_default_settings",
            billing_cycle_anchor="automatic",
            collection_method="charge_automatically",
            invoice_settings={"account_tax_ids": None, "days_until_due": None, "issuer": ISSUER_SELF},
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
    schedule_phases.place(unit, schedule)
    subscription["schedule"] = schedule["id"]
    emit(unit, "subscription_schedule.created", schedule)
    updated(unit, subscription, "customer.subscription")
    return schedule


@jobs.handles("schedule_phase")
def _due(unit: Unit, schedule: Obj) -> None:
    if schedule["status"] == "not_started":
        customer = unit.require("customer", schedule["customer"])
        subscription = _subscribe(unit, customer, schedule["phases"][0])
        schedule |= {"subscription": subscription["id"], "status": "active"}
        schedule_phases.place(unit, schedule)
        subscription["schedule"] = schedule["id"]
        updated(unit, subscription, "customer.subscription")
        updated(unit, schedule)
    else:
        schedule_phases.advance(unit, schedule)


@route("GET", "/v1/subscription_schedules/{schedule}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("subscription_schedule", p["schedule"])


def _running(unit: Unit, id: str) -> Obj:
    schedule = unit.require("subscription_schedule", id)
    if schedule["status"] not in ("active", "not_started"):
        message = f"You cannot change a subscription schedule that is currently in the `{schedule['status']}` status."
        raise invalid(message, code="invalid_schedule_status")
    return schedule


@route("POST", "/v1/subscription_schedules/{schedule}")
def update(unit: Unit, p: Params) -> Obj:
    schedule = _running(unit, p["schedule"])
    schedule["end_behavior"] = p.get("end_behavior", schedule["end_behavior"])
    merge_metadata(schedule, p.get("metadata"))
    _default_settings(unit, schedule, p.get("default_settings") or {})
    if "phases" in p:
        now = unit.now(schedule)
        current = schedule["current_phase"]
        if current and "start_date" not in p["phases"][0]:
            raise invalid("The current phase must be given with its `start_date`.", "phases[0][start_date]", "parameter_missing")
        schedule["phases"] = schedule_phases.parse_phases(unit, p["phases"], now, now, None)
        phase = schedule_phases.place(unit, schedule)
        subscription = unit.get(schedule["subscription"] or "")
        if phase is not None and subscription is not None:
            schedule_phases.apply(
                unit, subscription, {**phase, "proration_behavior": p.get("proration_behavior", phase["proration_behavior"])}
            )
    updated(unit, schedule)
    return schedule


def _default_settings(unit: Unit, schedule: Obj, params: Params) -> None:
    settings = schedule["default_settings"]
    settings |= pick(params, ("collection_method", "description"))
    if method := params.get("default_payment_method"):
        settings["default_payment_method"] = payments.attached_method(unit, method, schedule["customer"])["id"]
    elif "default_payment_method" in params:
        settings["default_payment_method"] = None
    settings["invoice_settings"] |= pick(params.get("invoice_settings") or {}, ("days_until_due",))


@route("POST", "/v1/subscription_schedules/{schedule}/release")
def release(unit: Unit, p: Params) -> Obj:
    schedule = _running(unit, p["schedule"])
    schedule_phases.release(unit, schedule)
    return schedule


@route("POST", "/v1/subscription_schedules/{schedule}/cancel")
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
        renewal.final_invoice(unit, subscription, prorate=prorate, collect=True)
    cancellation.cancel_now(unit, subscription)
    return schedule


@route("GET", "/v1/subscription_schedules")
def index(unit: Unit, p: Params) -> Obj:
    schedules = unit.find("subscription_schedule", customer=p.get("customer"))
    if p.get("scheduled"):
        schedules = [schedule for schedule in schedules if schedule["status"] == "not_started"]
    for name in ("canceled_at", "completed_at", "released_at"):
        if condition := read_filter(p, name):
            schedules = [schedule for schedule in schedules if schedule[name] and matches(schedule[name], condition)]
    return page("/v1/subscription_schedules", schedules, p)
