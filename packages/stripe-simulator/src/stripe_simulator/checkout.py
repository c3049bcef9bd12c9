"""Checkout: the line items of a session and the effects of its completion."""

from collections.abc import Sequence
from decimal import Decimal

from stripe_simulator import cards, debits, discounts, invoice_collection, invoicing, jobs, payments, pricing, setup_intents
from stripe_simulator.defaults import address, new_object
from stripe_simulator.errors import Refusal, invalid
from stripe_simulator.events import emit, hold, release, updated
from stripe_simulator.lists import embedded_list
from stripe_simulator.render import includes, view
from stripe_simulator.resources.customers import new_customer
from stripe_simulator.subscriptions import creation
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit

EVENT_ORDER_PAID = (
    "charge.succeeded",
    "payment_method.attached",
    "customer.created",
    "customer.updated",
    "checkout.session.completed",
    "customer.subscription.created",
    "payment_intent.created",
    "payment_intent.succeeded",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice_payment.paid",
)
EVENT_ORDER_TRIAL = (
    "payment_method.attached",
    "setup_intent.succeeded",
    "setup_intent.created",
    "checkout.session.completed",
    "customer.created",
    "customer.updated",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
    "customer.subscription.created",
)


def trial_end(unit: Unit, session: Obj) -> int | None:
    return creation.trial_end_of(session["_subscription_data"], unit.now(session))


def price_of(unit: Unit, row: Obj) -> Obj:
    return unit.require("price", row["price"])


def pending_discounts(unit: Unit, session: Obj) -> list[Obj]:
    """Return the discounts that completing the session would apply."""
    out = []
    for number, entry in enumerate(session["_discounts"]):
        code = unit.get(entry.get("promotion_code") or "")
        coupon = code["promotion"]["coupon"] if code else entry["coupon"]
        out.append(
            new_object(
                "discount",
                id=f"di_{session['id'][-20:]}{number}",
                checkout_session=session["id"],
                customer=session["customer"],
                promotion_code=code and code["id"],
                source={"coupon": coupon, "type": "coupon"},
                start=session["created"],
            )
        )
    return out


def lines(unit: Unit, session: Obj) -> list[Obj]:
    """Return the lines that are due now. Trials and metered prices cost nothing yet."""
    trial = session["mode"] == "subscription" and trial_end(unit, session) is not None
    out = []
    for row in session["_rows"]:
        price = price_of(unit, row)
        free = pricing.is_metered(price) or (trial and price["recurring"])
        amount = 0 if free else sum(c.amount for c in pricing.charges(price, Decimal(row["quantity"] or 0)))
        out.append(invoicing.line(amount, price["currency"], pricing.name(unit, price), 0, 0, parent=None, price=price))
    discounts.allocate(unit, pending_discounts(unit, session), out, session["currency"])
    return out


def update_totals(unit: Unit, session: Obj) -> None:
    rows = lines(unit, session)
    off = sum(share["amount"] for row in rows for share in row["discount_amounts"])
    session["amount_subtotal"] = sum(row["amount"] for row in rows)
    session["amount_total"] = session["amount_subtotal"] - off
    session["total_details"] = {"amount_discount": off, "amount_shipping": 0, "amount_tax": 0}
    session["discounts"] = [{"coupon": row.get("coupon"), "promotion_code": row.get("promotion_code")} for row in session["_discounts"]]
    unit.save(session)


def apply_promotion_code(unit: Unit, session: Obj, code: str) -> None:
    """Apply a promotion code that was entered on the page."""
    codes = [each for each in unit.find("promotion_code", tag=code.strip().lower()) if each["active"]]
    if not codes:
        raise invalid("This code is invalid.", "promotion_code", "promotion_code_invalid")
    discounts.redeemable(
        unit, discounts.promotion_of(unit, codes[0]["id"]), session["customer"], session["amount_subtotal"], session["currency"]
    )
    session["_discounts"] = [{"promotion_code": codes[0]["id"]}]
    update_totals(unit, session)


def needs_card(session: Obj) -> bool:
    return bool(session["amount_total"]) or session["payment_method_collection"] != "if_required"


def complete(
    unit: Unit,
    session: Obj,
    card: cards.Card | None,
    details: Params,
    expiry: Params | None = None,
    *,
    authenticated: bool = False,
    iban: str = "",
) -> str:
    """Pay. Return "complete", or "requires_action" if the customer must authenticate. A decline raises and changes nothing."""
    if session["status"] != "open":
        raise invalid("This Checkout Session is no longer open.", code="checkout_session_not_open")
    if card is not None and card.authentication and not authenticated:
        return "requires_action"
    if card is not None and (card.attach_decline or (card.charge_decline and session["amount_total"])):
        raise card.refusal(card.attach_decline or card.charge_decline or ("card_declined", "generic_decline"))
    hold(unit)
    customer = _customer(unit, session, details)
    method = payments.new_method(unit, card, **(expiry or {}), email=details.get("email"), name=details.get("name")) if card else None
    if iban:
        method = debits.new_method(unit, iban, {name: details[name] for name in ("email", "name") if details.get(name)})
    if method and authenticated:
        method["_ready"] = True
    order: Sequence[str] = EVENT_ORDER_PAID
    if session["mode"] == "subscription":
        order = EVENT_ORDER_TRIAL if _subscribe(unit, session, customer, method, authenticated) else EVENT_ORDER_PAID
    elif session["mode"] == "payment":
        _pay(unit, session, customer, method, authenticated)
    else:
        _set_up(unit, session, customer, method, authenticated)
    _close(unit, session, customer, details)
    updated(unit, customer)
    release(unit, tuple(order), drop=("customer.subscription.updated", "invoice.updated"))
    return "complete"


def _customer(unit: Unit, session: Obj, details: Params) -> Obj:
    if session["customer"]:
        customer = unit.require("customer", session["customer"])
        if session["_updates"].get("address") == "auto":
            customer["address"] = customer["address"] or new_object("address", country=details.get("country") or "US")
        if session["_updates"].get("name") == "auto" and details.get("name"):
            customer["name"] = details["name"]
        return customer
    customer = new_customer(unit, {name: details[name] for name in ("email", "name") if details.get(name)})
    if session["automatic_tax"]["enabled"]:
        customer["address"] = new_object("address", country=details.get("country") or "US")
    session["customer"] = customer["id"]
    return customer


def _subscribe(unit: Unit, session: Obj, customer: Obj, method: Obj | None, authenticated: bool) -> bool:
    """Create the subscription and pay its first invoice. Return whether it started with a trial."""
    params = {**session["_subscription_data"], "discounts": session["_discounts"]}
    params["items"] = [
        {"price": row["price"]} | ({"quantity": row["quantity"]} if row["quantity"] else {})
        for row in session["_rows"]
        if price_of(unit, row)["recurring"]
    ]
    params["add_invoice_items"] = [
        {"price": row["price"], "quantity": row["quantity"]} for row in session["_rows"] if not price_of(unit, row)["recurring"]
    ]
    subscription = creation.build(unit, customer, params)
    trial: bool = subscription["status"] == "trialing"
    if method and trial:
        setup_intents.set_up(unit, setup_intents.new_setup(unit, customer["id"]), method, authenticated=authenticated)
    elif method:
        payments.attach(unit, method, customer)
    subscription["default_payment_method"] = method["id"] if method else None
    subscription["status"] = "trialing" if trial else "active"
    emit(unit, "customer.subscription.created", subscription)
    creation.schedule_jobs(unit, subscription)
    invoice = creation.first_invoice(unit, subscription, params)
    invoice_collection.finalize(unit, invoice)
    outcome = "paid"
    if invoice["status"] == "open":
        outcome = invoice_collection.collect(unit, invoice, method=method, authenticated=authenticated)
        if outcome not in ("paid", "processing"):
            raise invoice_collection.payment_error(unit, invoice, keep=False)
    updated(unit, subscription, "customer.subscription")
    session["subscription"] = subscription["id"]
    session["invoice"] = invoice["id"]
    session["payment_status"] = "unpaid" if outcome == "processing" else "paid"
    if trial and not session["amount_total"]:
        session["payment_status"] = "no_payment_required"
    return trial


def _pay(unit: Unit, session: Obj, customer: Obj, method: Obj | None, authenticated: bool) -> None:
    session["payment_status"] = "paid"
    if not session["amount_total"] or method is None:
        session["payment_status"] = "no_payment_required"
        return
    data = session["_payment_intent_data"]
    intent = payments.new_intent(
        unit,
        session["amount_total"],
        session["currency"],
        customer=customer["id"],
        description=data.get("description"),
        setup_future_usage=data.get("setup_future_usage"),
    )
    intent["metadata"] = data.get("metadata", {})
    intent["receipt_email"] = data.get("receipt_email")
    if shipping := data.get("shipping"):
        intent["shipping"] = new_object("shipping", **{**shipping, "address": address(shipping["address"])})
    outcome = payments.confirm(unit, intent, method, authenticated=authenticated)
    if outcome == "processing":
        session["payment_status"] = "unpaid"
    elif outcome != "succeeded":
        raise payments.card_of(method).refusal(("card_declined", "generic_decline"))
    if data.get("setup_future_usage"):
        payments.attach(unit, method, customer)
    session["payment_intent"] = intent["id"]


def _set_up(unit: Unit, session: Obj, customer: Obj, method: Obj | None, authenticated: bool) -> None:
    if method is None:
        raise invalid("A card is needed.", "payment_method")
    setup = setup_intents.new_setup(unit, customer["id"])
    setup_intents.set_up(unit, setup, method, authenticated=authenticated)
    session["setup_intent"] = setup["id"]
    session["payment_status"] = "no_payment_required"


def _close(unit: Unit, session: Obj, customer: Obj, details: Params) -> None:
    jobs.cancel(unit, session)
    session["status"] = "complete"
    session["url"] = None
    session["customer_details"] = new_object(
        "payment_pages_checkout_session_customer_details",
        address=new_object("address", country=details.get("country") or "US"),
        email=details.get("email") or customer["email"],
        name=details.get("name") or customer["name"],
        tax_exempt="none",
        tax_ids=[],
    )
    unit.save(session)
    emit(unit, "checkout.session.completed", session)


@jobs.handles("session_expiry")
def expire(unit: Unit, session: Obj) -> None:
    if session["status"] != "open":
        raise Refusal(f'Only Checkout Sessions with a status in ["open"] can be expired. This Session has a status of {session["status"]}.')
    jobs.cancel(unit, session)
    session["status"] = "expired"
    session["url"] = None
    unit.save(session)
    emit(unit, "checkout.session.expired", session)


def item_views(unit: Unit, session: Obj) -> list[Obj]:
    out = []
    by_id = {discount["id"]: discount for discount in pending_discounts(unit, session)}
    for row, line in zip(session["_rows"], lines(unit, session), strict=True):
        price = price_of(unit, row)
        off = sum(share["amount"] for share in line["discount_amounts"])
        out.append(
            new_object(
                "item",
                id=row["id"],
                adjustable_quantity=None,
                amount_discount=off,
                amount_subtotal=line["amount"],
                amount_total=line["amount"] - off,
                currency=price["currency"],
                description=pricing.name(unit, price),
                discounts=[
                    {"amount": share["amount"], "discount": view(unit, by_id[share["discount"]])} for share in line["discount_amounts"]
                ],
                metadata={},
                price=view(unit, price),
                quantity=row["quantity"],
                taxes=[],
            )
        )
    return out


@includes("checkout.session", "line_items")
def _line_items(unit: Unit, session: Obj) -> Obj:
    return embedded_list(f"/v1/checkout/sessions/{session['id']}/line_items", item_views(unit, session))


@includes("checkout.session", "total_details.breakdown")
def _breakdown(unit: Unit, session: Obj) -> Obj:
    totals = discounts.allocate(unit, discount_objects := pending_discounts(unit, session), lines(unit, session), session["currency"])
    by_id = {discount["id"]: view(unit, discount) for discount in discount_objects}
    return {"discounts": [{"amount": each["amount"], "discount": by_id[each["discount"]]} for each in totals], "taxes": []}
