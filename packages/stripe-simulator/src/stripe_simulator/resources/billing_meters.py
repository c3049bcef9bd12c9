"""Billing meters, which record usage that metered prices bill."""

import time
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from stripe_simulator import metering
from stripe_simulator.defaults import new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import page
from stripe_simulator.parameters import accept_only, read_all
from stripe_simulator.render import already_rendered
from stripe_simulator.routes.match import route
from stripe_simulator.types import DAY, Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit

MAX_EVENT_AGE, NEWEST = 35 * DAY, 300
WINDOWS = {"hour": 3600, "day": DAY}


@route("POST", "/v1/billing/meters")
def create(unit: Unit, p: Params) -> Obj:
    if any(meter["status"] == "active" for meter in unit.find("billing.meter", tag=p["event_name"])):
        raise invalid(f"An active meter already exists with the event name {p['event_name']}", "event_name", "resource_already_exists")
    now = unit.now()
    meter = new_object(
        "billing.meter",
        id=new_id("mtr", 24),
        created=now,
        customer_mapping=read_all(p.get("customer_mapping")) or {"event_payload_key": "stripe_customer_id", "type": "by_id"},
        default_aggregation=read_all(p["default_aggregation"]),
        display_name=p["display_name"],
        event_name=p["event_name"],
        status="active",
        updated=now,
        value_settings=read_all(p.get("value_settings")) or {"event_payload_key": "value"},
    )
    unit.add(meter)
    emit(unit, "billing.meter.created", meter)
    return meter


@route("GET", "/v1/billing/meters/{id}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("billing.meter", p["id"])


@route("POST", "/v1/billing/meters/{id}")
def update(unit: Unit, p: Params) -> Obj:
    meter = unit.require("billing.meter", p["id"])
    meter["display_name"] = p.get("display_name", meter["display_name"])
    meter["updated"] = unit.now()
    updated(unit, meter)
    return meter


@route("POST", "/v1/billing/meters/{id}/deactivate")
def deactivate(unit: Unit, p: Params) -> Obj:
    return _set_status(unit, p["id"], "inactive", "deactivated")


@route("POST", "/v1/billing/meters/{id}/reactivate")
def reactivate(unit: Unit, p: Params) -> Obj:
    return _set_status(unit, p["id"], "active", "reactivated")


def _set_status(unit: Unit, id: str, status: str, event_type: str) -> Obj:
    meter = unit.require("billing.meter", id)
    meter["status"] = status
    meter["status_transitions"] = {"deactivated_at": unit.now() if status == "inactive" else None}
    unit.save(meter)
    emit(unit, f"billing.meter.{event_type}", meter)
    return meter


@route("GET", "/v1/billing/meters")
def index(unit: Unit, p: Params) -> Obj:
    meters = unit.find("billing.meter")
    if "status" in p:
        meters = [meter for meter in meters if meter["status"] == p["status"]]
    return page("/v1/billing/meters", meters, p)


@route("GET", "/v1/billing/meters/{id}/event_summaries")
def summaries(unit: Unit, p: Params) -> Obj:
    meter = unit.require("billing.meter", p["id"])
    unit.require("customer", p["customer"], "customer")
    start, end = p["start_time"], p["end_time"]
    step = WINDOWS.get(p.get("value_grouping_window", ""))
    for name in ("start_time", "end_time"):
        if p[name] % (step or 60):
            raise invalid(f"{name} must align with {p.get('value_grouping_window', 'minute')} boundaries", name)
    windows = [(at, min(at + step, end)) for at in range(start, end, step)] if step else [(start, end)]
    rows = []
    for first, last in windows:
        events = metering.events(unit, meter, p["customer"], first, last)
        if events or not step:
            rows.append(_summary(meter, p["customer"], metering.aggregate(meter, events), first, last))
    return page(f"/v1/billing/meters/{meter['id']}/event_summaries", rows[::-1], p)


def _summary(meter: Obj, customer: str, value: Decimal, start: int, end: int) -> Obj:
    return new_object(
        "billing.meter_event_summary",
        id=f"mtrusg_{meter['id'][-8:]}{customer[-8:]}{start}{end}",
        aggregated_value=int(value) if value == value.to_integral_value() else float(value),
        end_time=end,
        meter=meter["id"],
        start_time=start,
    )


def record(unit: Unit, params: Params) -> Obj:
    """Record one meter event, or refuse it."""
    meters = [meter for meter in unit.find("billing.meter", tag=params["event_name"]) if meter["status"] == "active"]
    if not meters:
        raise invalid(f"No active meter found for event name {params['event_name']}", "event_name", "no_meter_found")
    meter, payload = meters[0], params["payload"]
    customer = payload.get(meter["customer_mapping"]["event_payload_key"])
    if not customer:
        raise invalid(f"Missing payload key {meter['customer_mapping']['event_payload_key']}", "payload", "meter_event_no_customer_defined")
    if unit.get(customer) is None or unit.require("customer", customer, "payload", deleted=True).get("deleted"):
        raise invalid(f"No such customer: '{customer}'", "payload", "resource_missing")
    raw = payload.get(meter["value_settings"]["event_payload_key"], "1" if meter["default_aggregation"]["formula"] == "count" else None)
    try:
        value = Decimal(str(raw))
    except InvalidOperation:
        raise invalid(f"Invalid value {raw!r}: it must be a number in a string", "payload", "meter_event_invalid_value") from None
    now = unit.now(customer)
    moment = params.get("timestamp") or now
    if not now - MAX_EVENT_AGE <= moment <= now + NEWEST:
        message = "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future."
        raise invalid(message, "timestamp", "timestamp_too_far_in_past" if moment < now else "timestamp_in_future")
    identifier = params.get("identifier") or new_id("ident", 24)
    if unit.find("billing.meter_event", tag=identifier, customer=customer):
        raise invalid(f"An event already exists with identifier {identifier}.", "identifier", "duplicate_meter_event")
    event = new_object(
        "billing.meter_event",
        created=int(time.time()),
        event_name=params["event_name"],
        identifier=identifier,
        payload={key: str(text) for key, text in payload.items()},
        timestamp=moment,
        _customer=customer,
        _value=str(value),
    )
    unit.add({**event, "id": new_id("mtrev", 24)})
    return event


@route("POST", "/v1/billing/meter_events")
def create_event(unit: Unit, p: Params) -> Obj:
    event = record(unit, p)
    return already_rendered({key: value for key, value in event.items() if not key.startswith("_")})


@route("POST", "/v1/billing/meter_event_adjustments")
def adjust(unit: Unit, p: Params) -> Obj:
    identifier = (p.get("cancel") or {}).get("identifier")
    events = unit.find("billing.meter_event", tag=identifier) if identifier else []
    if not events:
        raise invalid(f"No meter event found with identifier {identifier}", "cancel[identifier]", "resource_missing")
    if events[0]["created"] < time.time() - DAY:
        raise invalid("A meter event can only be cancelled within 24 hours.", "cancel[identifier]")
    events[0]["_cancelled"] = True
    unit.save(events[0])
    accept_only(p, "type", "cancel")
    adjustment = new_object(
        "billing.meter_event_adjustment", cancel={"identifier": identifier}, event_name=p["event_name"], status="pending", type="cancel"
    )
    return already_rendered(adjustment)


# Version 2 of the API: JSON, with times as strings.


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _from_v2(params: Params) -> Params:
    stamp = params.get("timestamp")
    seconds = int(datetime.fromisoformat(stamp).timestamp()) if stamp else None
    return params | {"timestamp": seconds}


@route("POST", "/v2/billing/meter_events")
def create_event_v2(unit: Unit, p: Params) -> Obj:
    event = record(unit, _from_v2(p))
    names = ("event_name", "identifier", "payload", "livemode")
    times = {"created": iso(event["created"]), "timestamp": iso(event["timestamp"])}
    return already_rendered({**{name: event[name] for name in names}, **times, "object": "v2.billing.meter_event"})


@route("POST", "/v2/billing/meter_event_session")
def session(unit: Unit, p: Params) -> Obj:
    now = time.time()
    session_object = new_object(
        "v2.billing.meter_event_session",
        id=new_id("mes", 24),
        authentication_token=new_id("mest", 32),
        created=iso(now),
        expires_at=iso(now + 900),
    )
    return already_rendered(session_object)


@route("POST", "/v2/billing/meter_event_stream")
def stream(unit: Unit, p: Params) -> Obj:
    for event in p["events"]:
        record(unit, _from_v2(event))
    return {"_shown": {}}
