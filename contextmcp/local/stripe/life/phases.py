"""Subscription schedules at work: phases that follow one another, each applied as a change of the subscription."""

from typing import Any

from contextmcp.local.stripe import discounts, ending, items, jobs, periods, pricing
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import DAY, Obj, Params
from contextmcp.local.stripe.life import change
from contextmcp.local.stripe.shape import blank, merge_metadata
from contextmcp.local.stripe.unit import Unit

NOTICE = 7 * DAY  # before its last phase ends, a schedule tells that it is expiring
KEPT = ("billing_cycle_anchor", "collection_method", "default_payment_method", "description", "proration_behavior", "billing_thresholds")


def from_subscription(unit: Unit, subscription: Obj) -> Obj:
    """The phase that a running subscription is in."""
    rows = []
    for item in subscription["_items"]:
        row = blank("subscription_schedule_configuration_item", price=item["price"], metadata={}, tax_rates=[])
        rows.append(row | ({"quantity": item["quantity"]} if "quantity" in item else {}))
    return blank(
        "subscription_schedule_phase_configuration",
        currency=subscription["currency"],
        discounts=[{"coupon": None, "discount": each, "promotion_code": None} for each in subscription["discounts"]],
        end_date=items.next_end(subscription),
        items=rows,
        metadata={},
        proration_behavior="create_prorations",
        start_date=max(item["current_period_start"] for item in subscription["_items"]),
        trial_end=subscription["trial_end"] if subscription["status"] == "trialing" else None,
    )


def read(unit: Unit, given: list[Params], begin: int, now: int, currency: str | None) -> list[Obj]:
    """Phases as a caller writes them, each beginning where the one before it ends."""
    out: list[Obj] = []
    for number, row in enumerate(given):
        begin = _moment(row.get("start_date"), now) or begin
        rows = [_row(unit, each, f"phases[{number}][items][{place}]") for place, each in enumerate(row["items"])]
        price = unit.need("price", rows[0]["price"])
        end = _moment(row.get("end_date"), now)
        if length := row.get("duration"):
            end = periods.shift(begin, length["interval"], length.get("interval_count", 1))
        if end is None:
            name, count = pricing.interval(price)
            end = periods.shift(begin, name, count)
        if end <= begin:
            raise invalid("The phase must end after it starts.", f"phases[{number}][end_date]")
        phase = blank(
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


def _row(unit: Unit, given: Params, param: str) -> Obj:
    price = items.chosen_price(unit, given, param)
    if price is None:
        raise invalid(f"Missing required param: {param}[price].", f"{param}[price]", "parameter_missing")
    row = blank("subscription_schedule_configuration_item", price=price["id"], metadata={}, tax_rates=[])
    merge_metadata(row, given.get("metadata"))
    if not pricing.is_metered(price):
        row["quantity"] = given.get("quantity", 1)
    return row


def _moment(given: Any, now: int) -> int | None:
    return now if given == "now" else given or None


def place(unit: Unit, schedule: Obj) -> Obj | None:
    """Set `current_phase` by the time it is, and plan the next step; returns the phase."""
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


@jobs.does("schedule_expiring")
def _expiring(unit: Unit, schedule: Obj) -> None:
    if schedule["status"] == "active":
        emit(unit, "subscription_schedule.expiring", schedule)


def apply(unit: Unit, subscription: Obj, phase: Obj) -> None:
    """Change the subscription into what the phase says. At a period's end the renewal itself bills it: nothing is prorated."""
    now = unit.now(subscription)
    wanted: Params = {"items": _swaps(unit, subscription, phase), "proration_behavior": phase["proration_behavior"]}
    if now >= items.next_end(subscription):
        wanted["proration_behavior"] = "none"
    if phase["metadata"]:
        wanted["metadata"] = phase["metadata"]
    named = _standing(unit, phase["discounts"], now)
    if [row.get("discount") for row in named] != subscription["discounts"]:
        wanted["discounts"] = named
    if phase.get("trial_end") and phase["trial_end"] > now and phase["trial_end"] != subscription["trial_end"]:
        wanted["trial_end"] = phase["trial_end"]
    if phase["default_payment_method"]:
        wanted["default_payment_method"] = phase["default_payment_method"]
    if wanted["items"] or len(wanted) > 2:  # a phase that changes nothing must not bill what waits
        change.change(unit, subscription, wanted)


def _standing(unit: Unit, named: list[Obj], now: int) -> list[Params]:
    """A phase has the discounts it names and no others; those that are spent or over are not brought back."""
    rows = [{name: value for name, value in row.items() if value} for row in named]
    return [row for row in rows if "discount" not in row or discounts.standing(unit, [row["discount"]], now)]


def _swaps(unit: Unit, subscription: Obj, phase: Obj) -> list[Params]:
    """The items' changes: what stays keeps its id, a plan that gives way to another hands its id on."""
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
        metered = pricing.is_metered(unit.need("price", row["price"]))
        old = next((item for item in left if ("quantity" not in item) == metered), None)
        wanted = {"price": row["price"]} | ({"quantity": row["quantity"]} if "quantity" in row else {})
        if old is not None:
            left.remove(old)
            wanted["id"] = old["id"]
        out.append(wanted)
    return out + [{"id": item["id"], "deleted": True} for item in left]


def release(unit: Unit, schedule: Obj, status: str = "released") -> None:
    """Leave the subscription as it is, on its own again."""
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
    if subscription is not None and subscription["status"] not in ending.OVER:
        subscription["schedule"] = None
        updated(unit, subscription, "customer.subscription")


def advance(unit: Unit, schedule: Obj) -> None:
    """What is due now: the next phase, or the end of the last one."""
    subscription = unit.get(schedule["subscription"] or "")
    if schedule["status"] not in ("active", "not_started") or subscription is None:
        return
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
        ending.end(unit, subscription)
    else:
        release(unit, schedule)
