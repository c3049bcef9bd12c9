"""Execute subscription schedules: each phase is applied as a change of the subscription."""

from typing import Any

from stripe_simulator import cancellation, discounts, items, jobs, periods, pricing
from stripe_simulator.defaults import merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.subscriptions import changes, pending_update
from stripe_simulator.types import DAY, Obj, Params
from stripe_simulator.unit_of_work import Unit

# Properties that a phase inherits from its schedule, and a schedule from the subscription that it was created from.
SETTINGS = ("collection_method", "default_payment_method", "description")
NOTICE = 7 * DAY  # time before the end of the last phase at which `subscription_schedule.expiring` is emitted
KEPT = ("billing_cycle_anchor", "collection_method", "default_payment_method", "description", "proration_behavior", "billing_thresholds")


def from_subscription(unit: Unit, subscription: Obj) -> Obj:
    """Return the current phase of a subscription."""
    rows = []
    for item in subscription["_items"]:
        row = new_object("subscription_schedule_configuration_item", price=item["price"], metadata={}, tax_rates=[])
        rows.append(row | ({"quantity": item["quantity"]} if "quantity" in item else {}))
    return new_object(
        "subscription_schedule_phase_configuration",
        currency=subscription["currency"],
        discounts=[{"coupon": None, "discount": each, "promotion_code": None} for each in subscription["discounts"]],
        end_date=items.next_period_end(subscription),
        items=rows,
        metadata={},
        proration_behavior="create_prorations",
        start_date=max(item["current_period_start"] for item in subscription["_items"]),
        trial_end=subscription["trial_end"] if subscription["status"] == "trialing" else None,
    )


def parse_phases(unit: Unit, phases: list[Params], begin: int, now: int, currency: str | None) -> list[Obj]:
    """Parse the phases of a request. Each phase starts where the previous one ends."""
    out: list[Obj] = []
    for number, row in enumerate(phases):
        begin = _moment(row.get("start_date"), now) or begin
        rows = [_row(unit, each, f"phases[{number}][items][{place}]") for place, each in enumerate(row["items"])]
        price = unit.require("price", rows[0]["price"])
        end = _moment(row.get("end_date"), now)
        if length := row.get("duration"):
            end = periods.shift(begin, length["interval"], length.get("interval_count", 1))
        if end is None:
            name, count = pricing.interval(price)
            end = periods.shift(begin, name, count)
        if end <= begin:
            raise invalid("The phase must end after it starts.", f"phases[{number}][end_date]")
        phase = new_object(
            "subscription_schedule_phase_configuration",
            currency=currency or price["currency"],
            end_date=end,
            items=rows,
            metadata={},
            start_date=begin,
        )
        phase["proration_behavior"] = "create_prorations"
        phase |= {name: row[name] for name in KEPT if row.get(name)}
        phase["trial_end"] = end if row.get("trial") else _moment(row.get("trial_end"), now)
        phase["discounts"] = [{"coupon": None, "discount": None, "promotion_code": None, **each} for each in row.get("discounts") or []]
        merge_metadata(phase, row.get("metadata"))
        out.append(phase)
        begin = end
    return out


def _row(unit: Unit, params: Params, param: str) -> Obj:
    price = items.requested_price(unit, params, param)
    if price is None:
        raise invalid(f"Missing required param: {param}[price].", f"{param}[price]", "parameter_missing")
    row = new_object("subscription_schedule_configuration_item", price=price["id"], metadata={}, tax_rates=[])
    merge_metadata(row, params.get("metadata"))
    if not pricing.is_metered(price):
        row["quantity"] = params.get("quantity", 1)
    return row


def _moment(value: Any, now: int) -> int | None:
    return now if value == "now" else value or None


def place(unit: Unit, schedule: Obj) -> Obj | None:
    """Set `current_phase` by the current time and schedule the next step. Return the phase."""
    now = unit.now(schedule)
    current = next((phase for phase in schedule["phases"] if phase["start_date"] <= now < phase["end_date"]), None)
    schedule["current_phase"] = current and {name: current[name] for name in ("start_date", "end_date")}
    jobs.cancel(unit, schedule, "schedule_phase", "schedule_expiring")
    notice = schedule["phases"][-1]["end_date"] - NOTICE
    if notice > now:
        jobs.schedule(unit, "schedule_expiring", schedule, notice)
    coming = [moment for phase in schedule["phases"] for moment in (phase["start_date"], phase["end_date"]) if moment > now]
    if coming:
        jobs.schedule(unit, "schedule_phase", schedule, min(coming))
    unit.save(schedule)
    return current


@jobs.handles("schedule_expiring")
def _expiring(unit: Unit, schedule: Obj) -> None:
    if schedule["status"] == "active":
        emit(unit, "subscription_schedule.expiring", schedule)


def apply(unit: Unit, subscription: Obj, phase: Obj) -> None:
    """Apply a phase to the subscription. At a period end the renewal bills it, so nothing is prorated."""
    now = unit.now(subscription)
    params: Params = {"items": _swaps(unit, subscription, phase), "proration_behavior": phase["proration_behavior"]}
    if now >= items.next_period_end(subscription):
        params["proration_behavior"] = "none"
    if phase["metadata"]:
        params["metadata"] = phase["metadata"]
    named = _active_discounts(unit, phase["discounts"], now)
    if [row.get("discount") for row in named] != subscription["discounts"]:
        params["discounts"] = named
    if phase.get("trial_end") and phase["trial_end"] > now and phase["trial_end"] != subscription["trial_end"]:
        params["trial_end"] = phase["trial_end"]
    settings = (unit.get(subscription["schedule"] or "") or {}).get("default_settings") or {}
    for name in SETTINGS:
        value = phase.get(name) or settings.get(name)
        if value and value != subscription[name]:
            params[name] = value
    if params.get("collection_method") == "send_invoice":
        params["days_until_due"] = settings["invoice_settings"]["days_until_due"]
    if params["items"] or len(params) > 2:  # A phase without changes must not bill pending items.
        changes.change(unit, subscription, params)


def _active_discounts(unit: Unit, named: list[Obj], now: int) -> list[Params]:
    """Set the discounts of the phase and no others. Used or ended discounts are not restored."""
    rows = [{name: value for name, value in row.items() if value} for row in named]
    return [row for row in rows if "discount" not in row or discounts.active(unit, [row["discount"]], now)]


def _swaps(unit: Unit, subscription: Obj, phase: Obj) -> list[Params]:
    """Return the changes of the items. Unchanged items keep their ID, and a replacing plan takes over the ID of the replaced one."""
    left = list(subscription["_items"])
    new: list[Obj] = []
    out: list[Params] = []
    for row in phase["items"]:
        same = next((item for item in left if item["price"] == row["price"]), None)
        if same is None:
            new.append(row)
            continue
        left.remove(same)
        if "quantity" in row and row["quantity"] != same.get("quantity"):
            out.append({"id": same["id"], "quantity": row["quantity"]})
    for row in new:
        metered = pricing.is_metered(unit.require("price", row["price"]))
        old = next((item for item in left if ("quantity" not in item) == metered), None)
        target = {"price": row["price"]} | ({"quantity": row["quantity"]} if "quantity" in row else {})
        if old is not None:
            left.remove(old)
            target["id"] = old["id"]
        out.append(target)
    return out + [{"id": item["id"], "deleted": True} for item in left]


def release(unit: Unit, schedule: Obj, status: str = "released") -> None:
    """Release the subscription, which continues without the schedule."""
    now = unit.now(schedule)
    jobs.cancel(unit, schedule)
    subscription = unit.get(schedule["subscription"] or "")
    schedule["status"] = status
    schedule["current_phase"] = None
    schedule["released_at" if status == "released" else "completed_at"] = now
    schedule["released_subscription"] = schedule["subscription"]
    schedule["subscription"] = None
    unit.save(schedule)
    emit(unit, f"subscription_schedule.{status}", schedule)
    if subscription is not None and subscription["status"] not in cancellation.TERMINAL_STATUSES:
        subscription["schedule"] = None
        updated(unit, subscription, "customer.subscription")


def advance(unit: Unit, schedule: Obj) -> None:
    """Execute what is due: start the next phase, or end the last one."""
    subscription = unit.get(schedule["subscription"] or "")
    if schedule["status"] not in ("active", "not_started") or subscription is None:
        return
    pending_update.expire(unit, subscription)
    phase = place(unit, schedule)
    if phase is not None:
        apply(unit, subscription, phase)
        updated(unit, schedule)
    elif schedule["end_behavior"] == "cancel":
        schedule["status"] = "completed"
        schedule["completed_at"] = unit.now(schedule)
        subscription["schedule"] = None
        unit.save(schedule)
        emit(unit, "subscription_schedule.completed", schedule)
        cancellation.cancel_now(unit, subscription)
    else:
        release(unit, schedule)
