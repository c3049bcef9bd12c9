"""Checkout: the effects of completing a session, and its expiry. `checkout_lines` has its lines and totals."""

from collections.abc import Sequence

from stripe_simulator import cards, checkout_lines, debits, invoice_collection, jobs, payments, setup_intents
from stripe_simulator.defaults import address, new_object
from stripe_simulator.errors import Refusal, invalid
from stripe_simulator.events import emit, hold, release, updated
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
        if checkout_lines.price_of(unit, row)["recurring"]
    ]
    params["add_invoice_items"] = [
        {"price": row["price"], "quantity": row["quantity"]}
        for row in session["_rows"]
        if not checkout_lines.price_of(unit, row)["recurring"]
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
