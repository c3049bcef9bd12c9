"""Create a subscription: with a trial, or with a first invoice that is paid immediately or leaves it incomplete."""

from stripe_simulator import (
    cancellation,
    currencies,
    discounts,
    invoice_collection,
    invoicing,
    items,
    jobs,
    money,
    payments,
    pricing,
    proration,
    tax,
)
from stripe_simulator.defaults import ISSUER_SELF, NO_TAX, merge_metadata, new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.parameters import accept_only, pick, read_all
from stripe_simulator.types import DAY, HOUR, Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit

INCOMPLETE_LIFETIME = 23 * HOUR
TRIAL_REMINDER = 3 * DAY


def trial_end_of(params: Params, now: int) -> int | None:
    if params.get("trial_end") == "now":
        return None
    if params.get("trial_end"):
        if params["trial_end"] <= now:
            raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
        return int(params["trial_end"])
    days = params.get("trial_period_days")
    return now + days * DAY if days else None


def build(unit: Unit, customer: Obj, params: Params) -> Obj:
    """Create the subscription, its items and its periods, without an invoice."""
    now = unit.now(customer)
    rows = params.get("items") or []
    if not rows:
        raise invalid("Missing required param: items.", "items", "parameter_missing")
    first = items.requested_price(unit, rows[0], "items[0]")
    if first:
        currencies.require(unit, customer, first["currency"])
    trial_end = trial_end_of(params, now)
    anchor = trial_end or params.get("billing_cycle_anchor") or now
    subscription = new_object(
        "subscription",
        id=new_id("sub", 24),
        automatic_tax={**NO_TAX, "enabled": tax.is_requested(unit, params, customer)},
        billing_cycle_anchor=anchor,
        billing_mode=billing_mode(params.get("billing_mode")),
        billing_schedules=[],
        collection_method=params.get("collection_method", "charge_automatically"),
        created=now,
        currency=first["currency"] if first else "usd",
        customer=customer["id"],
        days_until_due=_days_until_due(params),
        default_tax_rates=[],
        description=params.get("description"),
        invoice_settings={"account_tax_ids": None, "issuer": ISSUER_SELF},
        metadata={},
        payment_settings=payment_settings(params.get("payment_settings")),
        start_date=now,
        status="trialing" if trial_end else "incomplete",
        test_clock=customer["test_clock"],
        trial_end=trial_end,
        trial_settings=read_all(params.get("trial_settings")) or {"end_behavior": {"missing_payment_method": "create_invoice"}},
        trial_start=now if trial_end else None,
        _items=[],
    )
    subscription["cancellation_details"] = {"comment": None, "feedback": None, "reason": None}
    merge_metadata(subscription, params.get("metadata"))
    unit.add(subscription)
    _fill(unit, subscription, params, rows, now)
    return subscription


def _fill(unit: Unit, subscription: Obj, params: Params, rows: list[Params], now: int) -> None:
    for number, row in enumerate(rows):
        item = items.new_item(unit, subscription, row, f"items[{number}]")
        if any(other["price"] == item["price"] for other in subscription["_items"]):
            raise invalid(f"Cannot add multiple subscription items with the same plan: {item['price']}", f"items[{number}][price]")
        if subscription["trial_end"]:
            item["current_period_start"], item["current_period_end"] = now, subscription["trial_end"]
        else:
            items.set_period(unit, subscription, item, now)
        subscription["_items"].append(item)
    if params.get("cancel_at_period_end"):
        subscription["cancel_at_period_end"] = True
        subscription["cancel_at"] = items.next_period_end(subscription)
        subscription["canceled_at"] = now
    elif params.get("cancel_at"):
        subscription["cancel_at"] = items.resolve_cancel_at(subscription, params["cancel_at"])
        subscription["canceled_at"] = now
    if method := params.get("default_payment_method"):
        subscription["default_payment_method"] = payments.attached_method(unit, method, subscription["customer"])["id"]
    discount_rows = params.get("discounts") or []
    licensed = [item for item in subscription["_items"] if "quantity" in item]
    amount = sum(pricing.full_amount(items.price_of(unit, item), item["quantity"]) for item in licensed)
    terms = {"amount": amount, "currency": subscription["currency"], "subscription": subscription["id"]}
    granted = [discounts.create(unit, row, subscription["customer"], **terms) for row in discount_rows]
    subscription["discounts"] = [discount["id"] for discount in granted]


def _days_until_due(params: Params) -> int | None:
    days: int | None = params.get("days_until_due")
    sent = params.get("collection_method") == "send_invoice"
    if sent and days is None:
        message = "When `collection_method=send_invoice`, you must set `days_until_due`."
        raise invalid(message, "days_until_due", "parameter_missing")
    if days is not None and not sent:
        raise invalid("`days_until_due` can only be set if `collection_method=send_invoice`.", "days_until_due")
    return days


def billing_mode(params: Params | None) -> Obj:
    accept_only(params or {}, "type", "flexible", of="billing_mode")
    accept_only((params or {}).get("flexible") or {}, "proration_discounts", "included", of="billing_mode[flexible]")
    return {"flexible": {"proration_discounts": "included"}, "type": "flexible"}


def payment_settings(params: Params | None, before: Obj | None = None) -> Obj:
    settings = before or {"payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"}
    accept_only(params or {}, "payment_method_types", ["card"], "", of="payment_settings")
    return settings | pick(params or {}, ("payment_method_types", "save_default_payment_method"))


def create(unit: Unit, customer: Obj, params: Params) -> Obj:
    """Create a subscription as the API does. `payment_behavior` decides how the first invoice is paid."""
    behavior = params.get("payment_behavior", "allow_incomplete")
    accept_only(params, "off_session", False)
    accept_only(params, "trial_from_plan", False)
    subscription = build(unit, customer, params)
    free = not subscription["trial_end"] and not _first_lines(unit, subscription, params)
    if free:
        subscription["status"] = "active"
    emit(unit, "customer.subscription.created", subscription)
    schedule_jobs(unit, subscription)
    if free:
        return subscription
    invoice = first_invoice(unit, subscription, params)
    if invoice["amount_due"] == 0 or subscription["collection_method"] == "send_invoice":
        invoice_collection.finalize(unit, invoice)
        if subscription["status"] == "incomplete":
            subscription["status"] = "active"
    elif behavior == "default_incomplete":
        invoice_collection.finalize(unit, invoice)
    else:
        outcome = invoice_collection.finalize_and_collect(unit, invoice)
        if outcome == "processing":
            subscription["status"] = "active"  # as at Stripe, a processing direct debit activates the subscription
        elif outcome not in ("paid", "sent") and behavior == "error_if_incomplete":
            raise invoice_collection.payment_error(unit, invoice, keep=False)
    if subscription["status"] == "incomplete":
        jobs.schedule(unit, "expire_incomplete", subscription, unit.now(subscription) + INCOMPLETE_LIFETIME)
    updated(unit, subscription, "customer.subscription")
    return subscription


def _first_lines(unit: Unit, subscription: Obj, params: Params) -> list[Obj]:
    lines: list[Obj] = []
    behavior = params.get("proration_behavior")
    for item in subscription["_items"]:
        price = items.price_of(unit, item)
        span = (item["current_period_start"], item["current_period_end"])
        if subscription["trial_end"]:
            lines.append(_trial_line(unit, subscription, item, price, span))
        elif not pricing.is_metered(price):
            grid = items.set_period(unit, subscription, item, span[0])
            if span[0] != grid[0] and behavior == "none":
                continue
            lines += proration.licensed_lines(unit, subscription, item, *span, grid)
    return lines


def _trial_line(unit: Unit, subscription: Obj, item: Obj, price: Obj, span: tuple[int, int]) -> Obj:
    quantity = item.get("quantity", 0)
    charge = pricing.Charge(0, quantity, pricing.unit_amount(price) * 0, "")
    line = invoicing.subscription_line(subscription, item, price, charge, pricing.name(unit, price), *span)
    line["description"] = f"Free trial for {quantity or 1} {money.MULTIPLICATION_SIGN} {pricing.name(unit, price)}"
    return line


def first_invoice(unit: Unit, subscription: Obj, params: Params) -> Obj:
    customer = unit.require("customer", subscription["customer"])
    now = unit.now(subscription)
    for number, row in enumerate(params.get("add_invoice_items") or []):
        one_time_item(unit, subscription, row, f"add_invoice_items[{number}]")
    invoice = invoicing.draft(
        unit,
        customer,
        currency=subscription["currency"],
        reason="subscription_create",
        period=(now, now),
        subscription=subscription,
        lines=_first_lines(unit, subscription, params),
        items=invoicing.pending_items(unit, customer["id"], subscription["id"], subscription["currency"]),
        automatic=False,
        auto_advance=True,
    )
    if not subscription["trial_end"]:
        proration.record_billed(invoice, subscription)
    return invoice


def one_time_item(unit: Unit, subscription: Obj, row: Params, param: str) -> Obj:
    price = items.requested_price(unit, row, param)
    if price is None or price["type"] != "one_time":
        raise invalid("add_invoice_items takes one-time prices.", f"{param}[price]")
    quantity = row.get("quantity", 1)
    now = unit.now(subscription)
    item = proration.pending_item(
        unit,
        subscription,
        {"id": None, "quantity": quantity},
        price,
        pricing.full_amount(price, quantity),
        pricing.name(unit, price),
        (now, now),
        proration=False,
        discountable=True,
    )
    item["parent"]["subscription_details"].pop("subscription_item")
    unit.save(item)
    return item


def schedule_jobs(unit: Unit, subscription: Obj) -> None:
    """Schedule the jobs of the subscription."""
    now = unit.now(subscription)
    jobs.schedule(unit, "period_roll", subscription, items.next_period_end(subscription))
    if subscription["status"] == "trialing":
        if subscription["trial_end"] - TRIAL_REMINDER > now:
            jobs.schedule(unit, "trial_will_end", subscription, subscription["trial_end"] - TRIAL_REMINDER)
        else:
            emit(unit, "customer.subscription.trial_will_end", subscription)
    if subscription["cancel_at"] and not subscription["cancel_at_period_end"]:
        jobs.schedule(unit, "cancel_at", subscription, subscription["cancel_at"])


@jobs.handles("trial_will_end")
def _remind(unit: Unit, subscription: Obj) -> None:
    if subscription["status"] == "trialing":
        emit(unit, "customer.subscription.trial_will_end", subscription)


@jobs.handles("expire_incomplete")
def _expire(unit: Unit, subscription: Obj) -> None:
    if subscription["status"] != "incomplete":
        return
    invoice = unit.get(subscription["latest_invoice"] or "")
    if invoice is not None and invoice["status"] == "open":
        invoice_collection.close(unit, invoice, "void")  # this also ends the subscription
    else:
        cancellation.expire(unit, subscription)
