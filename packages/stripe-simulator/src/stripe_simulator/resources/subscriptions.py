"""Subscriptions: create, update, cancel and resume them."""

from stripe_simulator import cancellation, invoice_collection, items, jobs
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.lists import matches, page, read_filter
from stripe_simulator.routes.match import route
from stripe_simulator.subscriptions import changes, creation, renewal
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit


@route("POST", "/v1/subscriptions")
def create(unit: Unit, p: Params) -> Obj:
    customer = unit.require("customer", p.get("customer", ""), "customer")
    return creation.create(unit, customer, p)


@route("GET", "/v1/subscriptions/{subscription_exposed_id}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("subscription", p["subscription_exposed_id"])


@route("POST", "/v1/subscriptions/{subscription_exposed_id}")
def update(unit: Unit, p: Params) -> Obj:
    subscription = unit.require("subscription", p.pop("subscription_exposed_id"))
    return changes.change(unit, subscription, p)


@route("DELETE", "/v1/subscriptions/{subscription_exposed_id}")
def cancel(unit: Unit, p: Params) -> Obj:
    subscription = unit.require("subscription", p["subscription_exposed_id"])
    if subscription["status"] in cancellation.TERMINAL_STATUSES:
        raise invalid(f"No such subscription: '{subscription['id']}'", "id", "resource_missing")
    subscription["cancellation_details"] |= p.get("cancellation_details") or {}
    subscription["cancel_at_period_end"] = False
    if subscription["status"] == "incomplete":
        first = unit.get(subscription["latest_invoice"] or "")
        if first is not None and first["status"] == "open":
            invoice_collection.close(unit, first, "void")  # this also ends the subscription
        else:
            cancellation.expire(unit, subscription)
        return subscription
    if p.get("invoice_now") or p.get("prorate"):
        renewal.final_invoice(unit, subscription, prorate=p.get("prorate", False), collect=p.get("invoice_now", False))
    cancellation.cancel_now(unit, subscription)
    return subscription


@route("POST", "/v1/subscriptions/{subscription}/resume")
def resume(unit: Unit, p: Params) -> Obj:
    subscription = unit.require("subscription", p["subscription"])
    if subscription["status"] != "paused":
        raise invalid("You can only resume subscriptions that are paused.", code="subscription_not_paused")
    now = unit.now(subscription)
    subscription["status"] = "active"
    if p.get("billing_cycle_anchor", "now") == "now":
        subscription["billing_cycle_anchor"] = now
        for item in subscription["_items"]:
            items.set_period(unit, subscription, item, now)
        invoice = creation.first_invoice(unit, {**subscription, "trial_end": None}, {})
        invoice["billing_reason"] = "subscription_update"
        subscription["latest_invoice"] = invoice["id"]
        if invoice_collection.finalize_and_collect(unit, invoice) != "paid":
            subscription["status"] = "past_due"
    jobs.schedule(unit, "period_roll", subscription, items.next_period_end(subscription))
    emit(unit, "customer.subscription.resumed", subscription)
    updated(unit, subscription, "customer.subscription")
    return subscription


@route("GET", "/v1/subscriptions")
def index(unit: Unit, p: Params) -> Obj:
    subscriptions = unit.find("subscription", customer=p.get("customer"), clock=p.get("test_clock"))
    if "customer" not in p and "test_clock" not in p:
        subscriptions = [
            each for each in subscriptions if not each["test_clock"]
        ]  # As at Stripe, subscriptions on a test clock are listed only by request.
    status = p.get("status")
    if status is None:
        subscriptions = [each for each in subscriptions if each["status"] not in ("canceled", "incomplete_expired")]
    elif status == "ended":
        subscriptions = [each for each in subscriptions if each["status"] in cancellation.TERMINAL_STATUSES]
    elif status != "all":
        subscriptions = [each for each in subscriptions if each["status"] == status]
    if "price" in p:
        subscriptions = [each for each in subscriptions if any(item["price"] == p["price"] for item in each["_items"])]
    if "collection_method" in p:
        subscriptions = [each for each in subscriptions if each["collection_method"] == p["collection_method"]]
    for name in ("current_period_start", "current_period_end"):
        condition = read_filter(p, name)
        subscriptions = [each for each in subscriptions if any(matches(item[name], condition) for item in each["_items"])]
    return page("/v1/subscriptions", subscriptions, p)
