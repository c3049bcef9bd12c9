"""A new subscription: with a trial, or with a first invoice that is paid at once or leaves it incomplete."""

from contextmcp.local.stripe import (
    collecting,
    currencies,
    discounts,
    ending,
    invoicing,
    items,
    jobs,
    money,
    payments,
    pricing,
    proration,
    tax,
)
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import DAY, HOUR, Obj, Params, new_id
from contextmcp.local.stripe.parameters import only, part, take_all
from contextmcp.local.stripe.shape import NO_TAX, SELF, blank, merge_metadata
from contextmcp.local.stripe.unit import Unit

INCOMPLETE_FOR = 23 * HOUR
REMINDER = 3 * DAY


def trial_end_of(given: Params, now: int) -> int | None:
    if given.get("trial_end") == "now":
        return None
    if given.get("trial_end"):
        if given["trial_end"] <= now:
            raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
        return int(given["trial_end"])
    days = given.get("trial_period_days")
    return now + days * DAY if days else None


def make(unit: Unit, customer: Obj, given: Params) -> Obj:
    """The object, its items and its periods; no money yet."""
    now = unit.now(customer)
    rows = given.get("items") or []
    if not rows:
        raise invalid("Missing required param: items.", "items", "parameter_missing")
    first = items.chosen_price(unit, rows[0], "items[0]")
    if first:
        currencies.need(unit, customer, first["currency"])
    trial_end = trial_end_of(given, now)
    anchor = trial_end or given.get("billing_cycle_anchor") or now
    subscription = blank(
        "subscription",
        id=new_id("sub", 24),
        automatic_tax={**NO_TAX, "enabled": tax.wanted(unit, given, customer)},
        billing_cycle_anchor=anchor,
        billing_mode=billing_mode(given.get("billing_mode")),
        billing_schedules=[],
        collection_method=given.get("collection_method", "charge_automatically"),
        created=now,
        currency=first["currency"] if first else "usd",
        customer=customer["id"],
        days_until_due=_days_until_due(given),
        default_tax_rates=[],
        description=given.get("description"),
        invoice_settings={"account_tax_ids": None, "issuer": SELF},
        metadata={},
        payment_settings=payment_settings(given.get("payment_settings")),
        start_date=now,
        status="trialing" if trial_end else "incomplete",
        test_clock=customer["test_clock"],
        trial_end=trial_end,
        trial_settings=take_all(given.get("trial_settings")) or {"end_behavior": {"missing_payment_method": "create_invoice"}},
        trial_start=now if trial_end else None,
        _items=[],
    )
    subscription["cancellation_details"] = {"comment": None, "feedback": None, "reason": None}
    merge_metadata(subscription, given.get("metadata"))
    unit.add(subscription)
    _fill(unit, subscription, given, rows, now)
    return subscription


def _fill(unit: Unit, subscription: Obj, given: Params, rows: list[Params], now: int) -> None:
    for number, row in enumerate(rows):
        item = items.new_item(unit, subscription, row, f"items[{number}]")
        if any(other["price"] == item["price"] for other in subscription["_items"]):
            raise invalid(f"Cannot add multiple subscription items with the same plan: {item['price']}", f"items[{number}][price]")
        if subscription["trial_end"]:
            item["current_period_start"], item["current_period_end"] = now, subscription["trial_end"]
        else:
            items.set_period(unit, subscription, item, now)
        subscription["_items"].append(item)
    if given.get("cancel_at_period_end"):
        subscription["cancel_at_period_end"] = True
        subscription["cancel_at"] = items.next_end(subscription)
        subscription["canceled_at"] = now
    elif given.get("cancel_at"):
        subscription["cancel_at"] = items.end_named(subscription, given["cancel_at"])
        subscription["canceled_at"] = now
    if method := given.get("default_payment_method"):
        subscription["default_payment_method"] = payments.method_of(unit, method, subscription["customer"])["id"]
    wanted = given.get("discounts") or []
    licensed = [item for item in subscription["_items"] if "quantity" in item]
    amount = sum(pricing.full_amount(items.price_of(unit, item), item["quantity"]) for item in licensed)
    terms = {"amount": amount, "currency": subscription["currency"], "subscription": subscription["id"]}
    granted = [discounts.grant(unit, row, subscription["customer"], **terms) for row in wanted]
    subscription["discounts"] = [discount["id"] for discount in granted]


def _days_until_due(given: Params) -> int | None:
    days: int | None = given.get("days_until_due")
    sent = given.get("collection_method") == "send_invoice"
    if sent and days is None:
        message = "When `collection_method=send_invoice`, you must set `days_until_due`."
        raise invalid(message, "days_until_due", "parameter_missing")
    if days is not None and not sent:
        raise invalid("`days_until_due` can only be set if `collection_method=send_invoice`.", "days_until_due")
    return days


def billing_mode(given: Params | None) -> Obj:
    only(given or {}, "type", "flexible", of="billing_mode")
    only((given or {}).get("flexible") or {}, "proration_discounts", "included", of="billing_mode[flexible]")
    return {"flexible": {"proration_discounts": "included"}, "type": "flexible"}


def payment_settings(given: Params | None, before: Obj | None = None) -> Obj:
    chosen = before or {"payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"}
    only(given or {}, "payment_method_types", ["card"], "", of="payment_settings")
    return chosen | part(given or {}, ("payment_method_types", "save_default_payment_method"))


def start(unit: Unit, customer: Obj, given: Params) -> Obj:
    """Create it as the API does: the first invoice is paid by `payment_behavior`, and may leave it incomplete."""
    behavior = given.get("payment_behavior", "allow_incomplete")
    only(given, "off_session", False)
    only(given, "trial_from_plan", False)
    subscription = make(unit, customer, given)
    free = not subscription["trial_end"] and not _first_lines(unit, subscription, given)
    if free:
        subscription["status"] = "active"
    emit(unit, "customer.subscription.created", subscription)
    plan_ahead(unit, subscription)
    if free:
        return subscription
    invoice = first_invoice(unit, subscription, given)
    if invoice["amount_due"] == 0 or subscription["collection_method"] == "send_invoice":
        collecting.finalize(unit, invoice)
        if subscription["status"] == "incomplete":
            subscription["status"] = "active"
    elif behavior == "default_incomplete":
        collecting.finalize(unit, invoice)
    else:
        outcome = collecting.finish(unit, invoice)
        if outcome == "processing":
            subscription["status"] = "active"  # as at Stripe: a direct debit that is under way is trusted
        elif outcome not in ("paid", "sent") and behavior == "error_if_incomplete":
            raise collecting.refuse_payment(unit, invoice, keep=False)
    if subscription["status"] == "incomplete":
        jobs.schedule(unit, "expire_incomplete", subscription, unit.now(subscription) + INCOMPLETE_FOR)
    updated(unit, subscription, "customer.subscription")
    return subscription


def _first_lines(unit: Unit, subscription: Obj, given: Params) -> list[Obj]:
    lines: list[Obj] = []
    behavior = given.get("proration_behavior")
    for item in subscription["_items"]:
        price = items.price_of(unit, item)
        span = (item["current_period_start"], item["current_period_end"])
        if subscription["trial_end"]:
            lines.append(_trial_line(unit, subscription, item, price, span))
        elif not pricing.is_metered(price):
            grid = items.set_period(unit, subscription, item, span[0])
            if span[0] != grid[0] and behavior == "none":
                continue
            lines += proration.advance(unit, subscription, item, *span, grid)
    return lines


def _trial_line(unit: Unit, subscription: Obj, item: Obj, price: Obj, span: tuple[int, int]) -> Obj:
    quantity = item.get("quantity", 0)
    charge = pricing.Charge(0, quantity, pricing.unit_amount(price) * 0, "")
    line = invoicing.subscription_line(subscription, item, price, charge, pricing.name(unit, price), *span)
    line["description"] = f"Free trial for {quantity or 1} {money.TIMES} {pricing.name(unit, price)}"
    return line


def first_invoice(unit: Unit, subscription: Obj, given: Params) -> Obj:
    customer = unit.need("customer", subscription["customer"])
    now = unit.now(subscription)
    for number, row in enumerate(given.get("add_invoice_items") or []):
        one_time_item(unit, subscription, row, f"add_invoice_items[{number}]")
    invoice = invoicing.draft(
        unit,
        customer,
        currency=subscription["currency"],
        reason="subscription_create",
        period=(now, now),
        subscription=subscription,
        lines=_first_lines(unit, subscription, given),
        items=invoicing.pending_items(unit, customer["id"], subscription["id"], subscription["currency"]),
        automatic=False,
        auto_advance=True,
    )
    if not subscription["trial_end"]:
        proration.remember(invoice, subscription)
    return invoice


def one_time_item(unit: Unit, subscription: Obj, row: Params, param: str) -> Obj:
    price = items.chosen_price(unit, row, param)
    if price is None or price["type"] != "one_time":
        raise invalid("add_invoice_items takes one-time prices.", f"{param}[price]")
    quantity = row.get("quantity", 1)
    now = unit.now(subscription)
    made = proration.pending_item(
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
    made["parent"]["subscription_details"].pop("subscription_item")
    unit.save(made)
    return made


def plan_ahead(unit: Unit, subscription: Obj) -> None:
    """Put down what time will bring."""
    now = unit.now(subscription)
    jobs.schedule(unit, "period_roll", subscription, items.next_end(subscription))
    if subscription["status"] == "trialing":
        if subscription["trial_end"] - REMINDER > now:
            jobs.schedule(unit, "trial_will_end", subscription, subscription["trial_end"] - REMINDER)
        else:
            emit(unit, "customer.subscription.trial_will_end", subscription)
    if subscription["cancel_at"] and not subscription["cancel_at_period_end"]:
        jobs.schedule(unit, "cancel_at", subscription, subscription["cancel_at"])


@jobs.does("trial_will_end")
def _remind(unit: Unit, subscription: Obj) -> None:
    if subscription["status"] == "trialing":
        emit(unit, "customer.subscription.trial_will_end", subscription)


@jobs.does("expire_incomplete")
def _expire(unit: Unit, subscription: Obj) -> None:
    if subscription["status"] != "incomplete":
        return
    invoice = unit.get(subscription["latest_invoice"] or "")
    if invoice is not None and invoice["status"] == "open":
        collecting.close(unit, invoice, "void")  # which ends the subscription too
    else:
        ending.expire(unit, subscription)
