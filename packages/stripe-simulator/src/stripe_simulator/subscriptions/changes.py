"""Change a subscription: prices, quantities, dates and payment methods, with Stripe's rules of proration."""

import copy

from stripe_simulator import cancellation, discounts, invoice_collection, invoicing, items, jobs, payments, periods, pricing, proration, tax
from stripe_simulator.defaults import merge_metadata
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, hold, release, updated
from stripe_simulator.parameters import accept_only, read_all
from stripe_simulator.subscriptions import creation, item_changes, pending_update, renewal
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit

EVENT_ORDER = (
    "customer.updated",
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
    "customer.subscription.updated",
    "invoiceitem.created",
)
BILLING_PARAMETERS = ("items", "trial_end", "billing_cycle_anchor")
PLAIN_PARAMETERS = ("description", "collection_method", "days_until_due", "trial_settings")


def change(unit: Unit, subscription: Obj, params: Params) -> Obj:
    if subscription["status"] in cancellation.TERMINAL_STATUSES:
        if set(params) <= {"metadata", "cancellation_details"}:
            _update_plain(unit, subscription, params)
            updated(unit, subscription, "customer.subscription")
            return subscription
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise invalid(message)
    accept_only(params, "off_session", False)
    accept_only(params, "trial_from_plan", False)
    behavior = params.get("payment_behavior", "allow_incomplete")
    if behavior == "pending_if_incomplete":
        pending_update.check(subscription, params)
    outer = unit.held_events is not None
    if not outer:
        hold(unit)
    if subscription["pending_update"] and any(name in params for name in BILLING_PARAMETERS):
        pending_update.replace(unit, subscription)
    before = copy.deepcopy(subscription)
    _update_plain(unit, subscription, params)
    invoice = _update_billing(unit, subscription, params)
    if subscription["status"] not in cancellation.TERMINAL_STATUSES:
        _update_cancellation(unit, subscription, params)
    if invoice is not None:
        _collect(unit, subscription, before, invoice, behavior)
    updated(unit, subscription, "customer.subscription")
    if not outer:
        release(unit, EVENT_ORDER)
    return subscription


def _update_plain(unit: Unit, subscription: Obj, params: Params) -> None:
    merge_metadata(subscription, params.get("metadata"))
    for name in PLAIN_PARAMETERS:
        if name in params:
            subscription[name] = read_all(params[name]) if params[name] != "" else None
    if params.get("default_payment_method"):
        method = payments.attached_method(unit, params["default_payment_method"], subscription["customer"])
        subscription["default_payment_method"] = method["id"]
    elif params.get("default_payment_method") == "":
        subscription["default_payment_method"] = None
    if "pause_collection" in params:
        pause = read_all(params["pause_collection"])
        subscription["pause_collection"] = {"resumes_at": None, **pause} if pause else None
        jobs.cancel(unit, subscription, "resume_collection")
        if pause and pause.get("resumes_at"):
            jobs.schedule(unit, "resume_collection", subscription, pause["resumes_at"])
    if "payment_settings" in params:
        subscription["payment_settings"] = creation.payment_settings(params["payment_settings"], subscription["payment_settings"])
    if "cancellation_details" in params:
        subscription["cancellation_details"] = {**(subscription["cancellation_details"] or {}), **read_all(params["cancellation_details"])}
    if "automatic_tax" in params:
        enabled = tax.is_requested(unit, params, unit.require("customer", subscription["customer"]))
        subscription["automatic_tax"] = {**subscription["automatic_tax"], "enabled": enabled}
    if "discounts" in params:
        rows = params["discounts"] or []
        existing = [row["discount"] for row in rows if row.get("discount")]
        fresh = [row for row in rows if not row.get("discount")]
        terms = {"amount": _period_amount(unit, subscription, params), "currency": subscription["currency"]}
        granted = [discounts.create(unit, row, subscription["customer"], subscription=subscription["id"], **terms)["id"] for row in fresh]
        for removed in set(subscription["discounts"]) - set(existing):
            if discount := unit.get(removed):
                discount["end"] = unit.now(subscription)
                unit.save(discount)
                emit(unit, "customer.discount.deleted", discount)
        subscription["discounts"] = existing + granted
    unit.save(subscription)


def _period_amount(unit: Unit, subscription: Obj, params: Params) -> int:
    """Return the cost of a period after the change, for promotion codes with a minimum amount."""
    rows = {row["id"]: row for row in params.get("items") or [] if row.get("id")}
    total = 0
    for item in subscription["_items"]:
        row = rows.get(item["id"], {})
        price = unit.get(row.get("price") or "") or items.price_of(unit, item)
        if not row.get("deleted") and not pricing.is_metered(price):
            total += pricing.full_amount(price, row.get("quantity", item.get("quantity", 1)))
    return total


def _update_cancellation(unit: Unit, subscription: Obj, params: Params) -> None:
    now = unit.now(subscription)
    if "cancel_at_period_end" in params:
        at_period_end = params["cancel_at_period_end"]
        if at_period_end and not subscription["cancel_at_period_end"]:
            subscription["cancel_at"] = items.next_period_end(subscription)
            subscription["canceled_at"] = now
            subscription["cancellation_details"]["reason"] = "cancellation_requested"
        elif not at_period_end and subscription["cancel_at_period_end"]:
            subscription["cancel_at"] = subscription["canceled_at"] = None
            subscription["cancellation_details"] = {"comment": None, "feedback": None, "reason": None}
        subscription["cancel_at_period_end"] = at_period_end
    if "cancel_at" in params:
        jobs.cancel(unit, subscription, "cancel_at")
        cancel_at = items.resolve_cancel_at(subscription, params["cancel_at"]) if params["cancel_at"] else None
        subscription["cancel_at"] = cancel_at
        subscription["canceled_at"] = now if cancel_at else None
        subscription["cancellation_details"]["reason"] = "cancellation_requested" if cancel_at else None
        if cancel_at:
            jobs.schedule(unit, "cancel_at", subscription, cancel_at)


def _update_billing(unit: Unit, subscription: Obj, params: Params) -> Obj | None:
    """Apply changes of periods and prices. Return the invoice that must be paid now, or None."""
    now = unit.now(subscription)
    behavior = params.get("proration_behavior", "create_prorations")
    moment = params.get("proration_date") or now
    anchor = params.get("billing_cycle_anchor")
    ends_trial = subscription["status"] == "trialing" and params.get("trial_end") == "now"
    for number, row in enumerate(params.get("add_invoice_items") or []):
        creation.one_time_item(unit, subscription, row, f"add_invoice_items[{number}]")
    changed, reset = item_changes.update_items(unit, subscription, params, moment, behavior)
    if isinstance(params.get("trial_end"), int):
        _new_trial(unit, subscription, params["trial_end"], moment, behavior)
        return None
    if ends_trial and not renewal.continue_after_trial(unit, subscription):
        return None
    trialing = subscription["status"] == "trialing"
    if ends_trial or (not trialing and (reset or anchor == "now")):
        return _restart(unit, subscription, moment, "none" if ends_trial else behavior, ends_trial)
    if trialing:
        return None
    if behavior != "none":
        for item in changed:
            name, count = pricing.interval(items.price_of(unit, item))
            grid = periods.containing(subscription["billing_cycle_anchor"], name, count, moment)
            proration.charge_remaining(unit, subscription, item, moment, grid)
    if behavior == "always_invoice" or params.get("add_invoice_items"):
        return _invoice(unit, subscription, [], moment)
    return None


def _new_trial(unit: Unit, subscription: Obj, end: int, moment: int, behavior: str) -> None:
    if end <= moment:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
    if subscription["status"] != "trialing":
        if behavior != "none":
            for item in subscription["_items"]:
                proration.credit_unused(unit, subscription, item, moment)
        subscription["trial_start"] = moment
    subscription["status"] = "trialing"
    subscription["trial_end"] = subscription["billing_cycle_anchor"] = end
    for item in subscription["_items"]:
        item["current_period_end"] = end
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = end
    unit.save(subscription)
    creation.schedule_jobs(unit, subscription)


def _restart(unit: Unit, subscription: Obj, moment: int, behavior: str, ends_trial: bool) -> Obj | None:
    """Restart the billing cycle now: credit what was billed, bill what was used, and charge a full new period."""
    lines: list[Obj] = []
    for item in subscription["_items"]:
        metered = pricing.is_metered(items.price_of(unit, item))
        if metered and not ends_trial:
            used = proration.metered_lines(unit, subscription, item, item["current_period_start"], moment)
            lines += [line for line in used if line["amount"]]
        elif behavior != "none" and not metered:
            proration.credit_unused(unit, subscription, item, moment)
    subscription["billing_cycle_anchor"] = moment
    if ends_trial:
        subscription["trial_end"] = moment
        subscription["status"] = "active"
        jobs.cancel(unit, subscription, "trial_will_end")
    for item in subscription["_items"]:
        grid = items.set_period(unit, subscription, item, moment)
        if not pricing.is_metered(items.price_of(unit, item)):
            lines += proration.licensed_lines(unit, subscription, item, moment, grid[1], grid)
    jobs.schedule(unit, "period_roll", subscription, items.next_period_end(subscription))
    unit.save(subscription)
    return _invoice(unit, subscription, lines, moment)


def _invoice(unit: Unit, subscription: Obj, lines: list[Obj], moment: int) -> Obj | None:
    customer = unit.require("customer", subscription["customer"])
    pending = invoicing.pending_items(unit, customer["id"], subscription["id"], subscription["currency"])
    if not lines and not pending:
        return None
    invoice = invoicing.draft(
        unit,
        customer,
        currency=subscription["currency"],
        reason="subscription_update",
        period=(moment, moment),
        subscription=subscription,
        lines=lines,
        items=pending,
        automatic=False,
        auto_advance=True,
    )
    invoice["parent"]["subscription_details"]["subscription_proration_date"] = moment
    proration.record_billed(invoice, subscription)
    return invoice


def _collect(unit: Unit, subscription: Obj, before: Obj, invoice: Obj, behavior: str) -> None:
    """Finalize the invoice and collect its payment. `behavior`, the request's `payment_behavior`, says what happens if it fails."""
    if behavior == "default_incomplete":
        invoice_collection.finalize(unit, invoice)
        return
    invoice["_postpones"] = behavior == "pending_if_incomplete"
    if invoice_collection.finalize_and_collect(unit, invoice) in ("paid", "sent", "processing", "paused"):
        return
    if behavior == "error_if_incomplete":
        raise invoice_collection.payment_error(unit, invoice, keep=False)
    if behavior == "pending_if_incomplete":
        pending_update.postpone(unit, subscription, before, invoice)


@jobs.handles("resume_collection")
def _resume_collection(unit: Unit, subscription: Obj) -> None:
    subscription["pause_collection"] = None
    updated(unit, subscription, "customer.subscription")
