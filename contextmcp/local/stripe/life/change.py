"""A changed subscription: other prices, quantities, dates, cards. Money follows by Stripe's rules of proration."""

import copy

from contextmcp.local.stripe import collecting, discounts, ending, invoicing, items, jobs, payments, periods, pricing, proration, tax
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, hold, release, updated
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.life import roll, start
from contextmcp.local.stripe.life.postponed import postpone
from contextmcp.local.stripe.parameters import only, take_all
from contextmcp.local.stripe.shape import merge_metadata
from contextmcp.local.stripe.unit import Unit

ORDER = (
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
PLAIN = ("description", "collection_method", "days_until_due", "trial_settings")


def change(unit: Unit, subscription: Obj, given: Params) -> Obj:
    if subscription["status"] in ending.OVER:
        if set(given) <= {"metadata", "cancellation_details"}:
            _plain(unit, subscription, given)
            updated(unit, subscription, "customer.subscription")
            return subscription
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise invalid(message)
    only(given, "off_session", False)
    only(given, "trial_from_plan", False)
    outer = unit.held is not None
    if not outer:
        hold(unit)
    before = copy.deepcopy(subscription)
    _plain(unit, subscription, given)
    behavior = given.get("payment_behavior", "allow_incomplete")
    invoice = _money(unit, subscription, given)
    if subscription["status"] not in ending.OVER:
        _cancellation(unit, subscription, given)
    if invoice is not None:
        _settle(unit, subscription, before, invoice, behavior)
    updated(unit, subscription, "customer.subscription")
    if not outer:
        release(unit, ORDER)
    return subscription


def _plain(unit: Unit, subscription: Obj, given: Params) -> None:
    merge_metadata(subscription, given.get("metadata"))
    for name in PLAIN:
        if name in given:
            subscription[name] = take_all(given[name]) if given[name] != "" else None
    if given.get("default_payment_method"):
        method = payments.method_of(unit, given["default_payment_method"], subscription["customer"])
        subscription["default_payment_method"] = method["id"]
    elif given.get("default_payment_method") == "":
        subscription["default_payment_method"] = None
    if "pause_collection" in given:
        chosen = take_all(given["pause_collection"])
        subscription["pause_collection"] = {"resumes_at": None, **chosen} if chosen else None
        jobs.cancel(unit, subscription, "resume_collection")
        if chosen and chosen.get("resumes_at"):
            jobs.schedule(unit, "resume_collection", subscription, chosen["resumes_at"])
    if "payment_settings" in given:
        subscription["payment_settings"] = start.payment_settings(given["payment_settings"], subscription["payment_settings"])
    if "cancellation_details" in given:
        subscription["cancellation_details"] = {**(subscription["cancellation_details"] or {}), **take_all(given["cancellation_details"])}
    if "automatic_tax" in given:
        enabled = tax.wanted(unit, given, unit.need("customer", subscription["customer"]))
        subscription["automatic_tax"] = {**subscription["automatic_tax"], "enabled": enabled}
    if "discounts" in given:
        rows = given["discounts"] or []
        kept = [row["discount"] for row in rows if row.get("discount")]
        fresh = [row for row in rows if not row.get("discount")]
        terms = {"amount": _price_now(unit, subscription, given), "currency": subscription["currency"]}
        made = [discounts.grant(unit, row, subscription["customer"], subscription=subscription["id"], **terms)["id"] for row in fresh]
        for gone in set(subscription["discounts"]) - set(kept):
            if discount := unit.get(gone):
                discount["end"] = unit.now(subscription)
                unit.save(discount)
                emit(unit, "customer.discount.deleted", discount)
        subscription["discounts"] = kept + made
    unit.save(subscription)


def _price_now(unit: Unit, subscription: Obj, given: Params) -> int:
    """What a period costs after the change, for a promotion code that asks for a minimum."""
    rows = {row["id"]: row for row in given.get("items") or [] if row.get("id")}
    total = 0
    for item in subscription["_items"]:
        row = rows.get(item["id"], {})
        price = unit.get(row.get("price") or "") or items.price_of(unit, item)
        if not row.get("deleted") and not pricing.is_metered(price):
            total += pricing.full_amount(price, row.get("quantity", item.get("quantity", 1)))
    return total


def _cancellation(unit: Unit, subscription: Obj, given: Params) -> None:
    now = unit.now(subscription)
    if "cancel_at_period_end" in given:
        wanted = given["cancel_at_period_end"]
        if wanted and not subscription["cancel_at_period_end"]:
            subscription["cancel_at"] = items.next_end(subscription)
            subscription["canceled_at"] = now
            subscription["cancellation_details"]["reason"] = "cancellation_requested"
        elif not wanted and subscription["cancel_at_period_end"]:
            subscription["cancel_at"] = subscription["canceled_at"] = None
            subscription["cancellation_details"] = {"comment": None, "feedback": None, "reason": None}
        subscription["cancel_at_period_end"] = wanted
    if "cancel_at" in given:
        jobs.cancel(unit, subscription, "cancel_at")
        chosen = items.end_named(subscription, given["cancel_at"]) if given["cancel_at"] else None
        subscription["cancel_at"] = chosen
        subscription["canceled_at"] = now if chosen else None
        subscription["cancellation_details"]["reason"] = "cancellation_requested" if chosen else None
        if chosen:
            jobs.schedule(unit, "cancel_at", subscription, chosen)


def _money(unit: Unit, subscription: Obj, given: Params) -> Obj | None:
    """Apply what changes periods and prices; returns the invoice that must be paid now, if there is one."""
    now = unit.now(subscription)
    behavior = given.get("proration_behavior", "create_prorations")
    moment = given.get("proration_date") or now
    anchor = given.get("billing_cycle_anchor")
    ends_trial = subscription["status"] == "trialing" and given.get("trial_end") == "now"
    for number, row in enumerate(given.get("add_invoice_items") or []):
        start.one_time_item(unit, subscription, row, f"add_invoice_items[{number}]")
    changed, reset = _items(unit, subscription, given, moment, behavior)
    if isinstance(given.get("trial_end"), int):
        _new_trial(unit, subscription, given["trial_end"], moment, behavior)
        return None
    if ends_trial and not roll.may_go_on(unit, subscription):
        return None
    trialing = subscription["status"] == "trialing"
    if ends_trial or (not trialing and (reset or anchor == "now")):
        return _restart(unit, subscription, moment, "none" if ends_trial else behavior, ends_trial)
    if trialing:
        return None
    if behavior != "none":
        for item in changed:
            name, count = pricing.interval(items.price_of(unit, item))
            grid = periods.around(subscription["billing_cycle_anchor"], name, count, moment)
            proration.debit(unit, subscription, item, moment, grid)
    if behavior == "always_invoice" or given.get("add_invoice_items"):
        return _invoice(unit, subscription, [], moment)
    return None


def _items(unit: Unit, subscription: Obj, given: Params, moment: int, behavior: str) -> tuple[list[Obj], bool]:
    """Change, add and delete items, crediting what they were billed; returns those to bill anew, and whether the cycle restarts."""
    changed: list[Obj] = []
    reset = False
    credits_due = behavior != "none" and subscription["status"] != "trialing"
    for number, row in enumerate(given.get("items") or []):
        param = f"items[{number}]"
        if not row.get("id"):
            changed.append(_add(unit, subscription, row, param, moment))
            continue
        item = next((each for each in subscription["_items"] if each["id"] == row["id"]), None)
        if item is None:
            raise invalid(f"No such subscription_item: '{row['id']}'", f"{param}[id]", "resource_missing")
        if row.get("deleted"):
            _remove(unit, subscription, item, moment, credits_due)
            continue
        merge_metadata(item, row.get("metadata"))
        old = items.price_of(unit, item)
        price = items.chosen_price(unit, row, param) or old
        quantity = None if pricing.is_metered(price) else row.get("quantity", item.get("quantity", 1))
        if price["id"] == old["id"] and quantity == item.get("quantity"):
            continue
        reset = reset or (not pricing.is_metered(price) and pricing.interval(price) != pricing.interval(old))
        if credits_due:
            proration.credit(unit, subscription, item, moment)
        item["price"] = price["id"]
        if quantity is None:
            item.pop("quantity", None)
        else:
            item["quantity"] = quantity
        changed.append(item)
    if not subscription["_items"]:
        raise invalid("A subscription must have at least one active plan.", "items")
    unit.save(subscription)
    jobs.schedule(unit, "period_roll", subscription, items.next_end(subscription))
    return changed, reset


def _add(unit: Unit, subscription: Obj, row: Params, param: str, moment: int) -> Obj:
    item = items.new_item(unit, subscription, row, param)
    if any(other["price"] == item["price"] for other in subscription["_items"]):
        message = f"An existing Subscription Item with price `{item['price']}` already exists on this subscription."
        raise invalid(message, f"{param}[price]")
    if subscription["status"] == "trialing":
        item["current_period_start"], item["current_period_end"] = moment, subscription["trial_end"]
    else:
        items.set_period(unit, subscription, item, moment)
    subscription["_items"].append(item)
    return item


def _remove(unit: Unit, subscription: Obj, item: Obj, moment: int, credits_due: bool) -> None:
    price = items.price_of(unit, item)
    if pricing.is_metered(price) and subscription["status"] != "trialing":
        for line in proration.arrears(unit, subscription, item, item["current_period_start"], moment):
            if line["amount"]:
                span = (line["period"]["start"], line["period"]["end"])
                shown = {**item, "quantity": line["quantity"]}
                proration.pending_item(
                    unit, subscription, shown, price, line["amount"], line["description"], span, proration=False, discountable=True
                )
    elif credits_due:
        proration.credit(unit, subscription, item, moment)
    subscription["_items"].remove(item)
    unit.forget(item["id"])


def _new_trial(unit: Unit, subscription: Obj, end: int, moment: int, behavior: str) -> None:
    if end <= moment:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
    if subscription["status"] != "trialing":
        if behavior != "none":
            for item in subscription["_items"]:
                proration.credit(unit, subscription, item, moment)
        subscription["trial_start"] = moment
    subscription["status"] = "trialing"
    subscription["trial_end"] = subscription["billing_cycle_anchor"] = end
    for item in subscription["_items"]:
        item["current_period_end"] = end
    unit.save(subscription)
    start.plan_ahead(unit, subscription)


def _restart(unit: Unit, subscription: Obj, moment: int, behavior: str, ends_trial: bool) -> Obj | None:
    """A new cycle from now: what was billed is credited, what was used is billed, a whole new period is asked for."""
    lines: list[Obj] = []
    for item in subscription["_items"]:
        metered = pricing.is_metered(items.price_of(unit, item))
        if metered and not ends_trial:
            used = proration.arrears(unit, subscription, item, item["current_period_start"], moment)
            lines += [line for line in used if line["amount"]]
        elif behavior != "none" and not metered:
            proration.credit(unit, subscription, item, moment)
    subscription["billing_cycle_anchor"] = moment
    if ends_trial:
        subscription["trial_end"] = moment
        subscription["status"] = "active"
        jobs.cancel(unit, subscription, "trial_will_end")
    for item in subscription["_items"]:
        grid = items.set_period(unit, subscription, item, moment)
        if not pricing.is_metered(items.price_of(unit, item)):
            lines += proration.advance(unit, subscription, item, moment, grid[1], grid)
    jobs.schedule(unit, "period_roll", subscription, items.next_end(subscription))
    unit.save(subscription)
    return _invoice(unit, subscription, lines, moment)


def _invoice(unit: Unit, subscription: Obj, lines: list[Obj], moment: int) -> Obj | None:
    customer = unit.need("customer", subscription["customer"])
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
    proration.remember(invoice, subscription)
    return invoice


def _settle(unit: Unit, subscription: Obj, before: Obj, invoice: Obj, behavior: str) -> None:
    """Have the invoice paid; what an unpaid one does to the change is the caller's choice."""
    if behavior == "default_incomplete":
        collecting.finalize(unit, invoice)
        return
    if collecting.finish(unit, invoice) in ("paid", "sent", "processing"):
        return
    if behavior == "error_if_incomplete":
        raise collecting.refuse_payment(unit, invoice, keep=False)
    if behavior == "pending_if_incomplete":
        postpone(unit, subscription, before, invoice)


@jobs.does("resume_collection")
def _collect_again(unit: Unit, subscription: Obj) -> None:
    subscription["pause_collection"] = None
    updated(unit, subscription, "customer.subscription")
