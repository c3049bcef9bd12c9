"""Subscriptions: created, changed, canceled, resumed."""

from contextmcp.local.stripe import collecting, ending, items, jobs
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.life import change, roll, start
from contextmcp.local.stripe.lists import bounds, page, within
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.unit import Unit


@answers("POST", "/v1/subscriptions")
def create(unit: Unit, p: Params) -> Obj:
    customer = unit.need("customer", p.get("customer", ""), "customer")
    return start.start(unit, customer, p)


@answers("GET", "/v1/subscriptions/{subscription_exposed_id}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("subscription", p["subscription_exposed_id"])


@answers("POST", "/v1/subscriptions/{subscription_exposed_id}")
def update(unit: Unit, p: Params) -> Obj:
    subscription = unit.need("subscription", p.pop("subscription_exposed_id"))
    return change.change(unit, subscription, p)


@answers("DELETE", "/v1/subscriptions/{subscription_exposed_id}")
def cancel(unit: Unit, p: Params) -> Obj:
    subscription = unit.need("subscription", p["subscription_exposed_id"])
    if subscription["status"] in ending.OVER:
        raise invalid(f"No such subscription: '{subscription['id']}'", "id", "resource_missing")
    subscription["cancellation_details"] |= p.get("cancellation_details") or {}
    subscription["cancel_at_period_end"] = False
    if subscription["status"] == "incomplete":
        first = unit.get(subscription["latest_invoice"] or "")
        if first is not None and first["status"] == "open":
            collecting.close(unit, first, "void")  # which ends the subscription too
        else:
            ending.expire(unit, subscription)
        return subscription
    if p.get("invoice_now") or p.get("prorate"):
        roll.final_invoice(unit, subscription, prorate=p.get("prorate", False), collect=p.get("invoice_now", False))
    ending.end(unit, subscription)
    return subscription


@answers("POST", "/v1/subscriptions/{subscription}/resume")
def resume(unit: Unit, p: Params) -> Obj:
    subscription = unit.need("subscription", p["subscription"])
    if subscription["status"] != "paused":
        raise invalid("You can only resume subscriptions that are paused.", code="subscription_not_paused")
    now = unit.now(subscription)
    subscription["status"] = "active"
    if p.get("billing_cycle_anchor", "now") == "now":
        subscription["billing_cycle_anchor"] = now
        for item in subscription["_items"]:
            items.set_period(unit, subscription, item, now)
        invoice = start.first_invoice(unit, {**subscription, "trial_end": None}, {})
        invoice["billing_reason"] = "subscription_update"
        subscription["latest_invoice"] = invoice["id"]
        if collecting.finish(unit, invoice) != "paid":
            subscription["status"] = "past_due"
    jobs.schedule(unit, "period_roll", subscription, items.next_end(subscription))
    emit(unit, "customer.subscription.resumed", subscription)
    updated(unit, subscription, "customer.subscription")
    return subscription


@answers("GET", "/v1/subscriptions")
def index(unit: Unit, p: Params) -> Obj:
    found = unit.find("subscription", customer=p.get("customer"), clock=p.get("test_clock"))
    if "customer" not in p and "test_clock" not in p:
        found = [each for each in found if not each["test_clock"]]  # as at Stripe: clocked ones only when asked for
    status = p.get("status")
    if status is None:
        found = [each for each in found if each["status"] not in ("canceled", "incomplete_expired")]
    elif status == "ended":
        found = [each for each in found if each["status"] in ending.OVER]
    elif status != "all":
        found = [each for each in found if each["status"] == status]
    if "price" in p:
        found = [each for each in found if any(item["price"] == p["price"] for item in each["_items"])]
    if "collection_method" in p:
        found = [each for each in found if each["collection_method"] == p["collection_method"]]
    for name in ("current_period_start", "current_period_end"):
        asked = bounds(p, name)
        found = [each for each in found if any(within(item[name], asked) for item in each["_items"])]
    return page("/v1/subscriptions", found, p)
