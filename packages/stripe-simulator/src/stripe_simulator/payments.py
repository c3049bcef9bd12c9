"""Payment methods and payment intents. `charges` has the charges of an intent."""

from stripe_simulator import cards, charges, debits, jobs
from stripe_simulator.defaults import new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit
from stripe_simulator.types import Obj, id_of, new_id
from stripe_simulator.unit_of_work import Unit


def new_method(unit: Unit, card: cards.Card, **values: object) -> Obj:
    expiry = {key: values.pop(key) for key in ("exp_month", "exp_year") if values.get(key)}
    details = new_object(
        "payment_method_card",
        brand=card.brand,
        display_brand=card.brand,
        checks={"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
        country="US",
        exp_month=expiry.get("exp_month", 12),
        exp_year=expiry.get("exp_year", 2034),
        fingerprint=f"fp{card.number[-12:]}",
        funding=card.funding,
        last4=card.last4,
        networks={"available": [card.brand], "preferred": None},
        regulated_status="unregulated",
        three_d_secure_usage={"supported": True},
    )
    details.pop("generated_from", None)
    method = new_object(
        "payment_method",
        id=new_id("pm", 24),
        allow_redisplay="unspecified",
        billing_details=new_object("billing_details", address=new_object("address"), **{k: v for k, v in values.items() if v}),
        card={**details, "generated_from": None},
        created=unit.now(),
        metadata={},
        type="card",
        _number=card.number,
        _ready=False,  # Authenticated once, so that it can be charged off-session.
    )
    return unit.add(method)


def method(unit: Unit, id: str, param: str = "payment_method") -> Obj:
    """Return a payment method by ID, or a new one for a test token."""
    if card := cards.of_token(id):
        return new_method(unit, card)
    return unit.require("payment_method", id, param)


def attached_method(unit: Unit, id: str, customer: str, param: str = "default_payment_method") -> Obj:
    """Return a payment method that must be attached to the customer."""
    method = unit.get(id)
    if method is None or method["object"] != "payment_method" or id_of(method.get("customer")) != customer:
        message = (
            f"The customer does not have a payment method with the ID {id}. The payment method must be attached to the customer. "
            "Try attaching it first."
        )
        raise invalid(message, param, "resource_missing")
    return method


def card_of(method: Obj) -> cards.Card:
    return cards.BY_NUMBER[method["_number"]]


def attach(unit: Unit, method: Obj, customer: Obj) -> Obj:
    """Attach a payment method to a customer, unless the bank declines it."""
    owner = id_of(method.get("customer"))
    if owner == customer["id"]:
        return method
    if owner:
        raise invalid("The payment method you provided has already been attached to a customer.", "payment_method")
    if method.get("_detached"):
        message = (
            "The payment method you provided was detached from a Customer. It may not be used again. "
            "To use a PaymentMethod multiple times, you must attach it to a Customer first."
        )
        raise invalid(message, "payment_method")
    if method["type"] == "card":
        card = card_of(method)
        if card.attach_decline:
            raise card.refusal(card.attach_decline)
        method["card"]["checks"]["cvc_check"] = "pass"
    method["customer"] = customer["id"]
    unit.save(method)
    emit(unit, "payment_method.attached", method)
    return method


def new_intent(unit: Unit, amount: int, currency: str, **values: object) -> Obj:
    id = new_id("pi", 24)
    intent = new_object(
        "payment_intent",
        id=id,
        amount=amount,
        amount_capturable=0,
        amount_details={"tip": {}},
        amount_received=0,
        client_secret=f"{id}_secret_{new_id('x', 25)[2:]}",
        currency=currency,
        metadata={},
        status="requires_payment_method",
        **{
            "automatic_payment_methods": None,
            "capture_method": "automatic",
            "confirmation_method": "automatic",
            "payment_method_types": ["card", "sepa_debit"],
            **values,
        },
    )
    intent["created"] = unit.now(intent)
    unit.add(intent)
    emit(unit, "payment_intent.created", intent)
    return intent


def needs_authentication(method: Obj) -> bool:
    if method["type"] != "card":
        return False
    card = card_of(method)
    return card.authentication == "always" or (card.authentication == "unless_setup" and not method["_ready"])


def confirm(unit: Unit, intent: Obj, method: Obj, *, authenticated: bool = False) -> str:
    """Confirm the intent. Return "succeeded", "requires_capture", "failed" or "requires_action"; "processing" for a debit."""
    owner = id_of(method.get("customer"))
    if owner and owner != id_of(intent["customer"]):
        message = (
            f"The provided PaymentMethod ({method['id']}) is attached to another customer. A PaymentMethod that belongs to a customer "
            "can only be used with that customer's PaymentIntents."
        )
        raise invalid(message, "payment_method")
    if method["type"] not in intent["payment_method_types"]:
        message = f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent."
        raise invalid(message, "payment_method")
    intent["payment_method"] = method["id"]
    if method["type"] == "sepa_debit":
        return debits.initiate(unit, intent, method)
    if needs_authentication(method) and not authenticated:
        return_url = intent.get("_return_url")
        intent["status"] = "requires_action"
        intent["next_action"] = {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": return_url, "url": f"{unit.base_url}/3ds/{intent['id']}"},
        }
        unit.save(intent)
        emit(unit, "payment_intent.requires_action", intent)
        return "requires_action"
    card = card_of(method)
    reason = card.attach_decline or card.charge_decline
    charge = charges.create(unit, intent, method, reason)
    intent["latest_charge"] = charge["id"]
    intent["next_action"] = None
    if reason:
        intent["status"] = "requires_payment_method"
        intent["payment_method"] = None
        intent["last_payment_error"] = decline_error(reason, charge, method)
        unit.save(intent)
        emit(unit, "payment_intent.payment_failed", intent)
        return "failed"
    intent["last_payment_error"] = None
    if authenticated:
        method["_ready"] = True
        unit.save(method)
    if intent["capture_method"] == "manual":
        intent["status"] = "requires_capture"
        intent["amount_capturable"] = intent["amount"]
        unit.save(intent)
        emit(unit, "payment_intent.amount_capturable_updated", intent)
        return "requires_capture"
    _succeed(unit, intent, intent["amount"])
    if card.dispute:
        jobs.run_now(unit, "dispute", charge)
    return "succeeded"


def _succeed(unit: Unit, intent: Obj, amount: int) -> None:
    intent["status"] = "succeeded"
    intent["amount_received"] = amount
    intent["amount_capturable"] = 0
    unit.save(intent)
    emit(unit, "payment_intent.succeeded", intent)


def capture(unit: Unit, intent: Obj, amount: int) -> None:
    """Capture an authorized amount or a part of it. The rest is released."""
    charge = unit.require("charge", intent["latest_charge"])
    charge["captured"] = True
    charge["amount_captured"] = amount
    charge["balance_transaction"] = charges.balance_transaction(unit, charge, amount, "charge")["id"]
    unit.save(charge)
    emit(unit, "charge.captured", charge)
    _succeed(unit, intent, amount)


def decline_error(reason: tuple[str, str | None], charge: Obj | None, method: Obj) -> Obj:
    code, decline_code = reason
    error: Obj = {"code": code, "message": cards.message_of(reason), "type": "card_error"}
    error["payment_method"] = {key: value for key, value in method.items() if not key.startswith("_")}
    if decline_code:
        error["decline_code"] = decline_code
    if charge:
        error["charge"] = charge["id"]
    return error


def fail_authentication(unit: Unit, intent: Obj) -> None:
    """Record that the customer failed the authentication."""
    method = unit.require("payment_method", intent["payment_method"])
    intent["status"] = "requires_payment_method"
    intent["next_action"] = None
    intent["payment_method"] = None
    intent["last_payment_error"] = {
        "code": "payment_intent_authentication_failure",
        "message": "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod to "
        "attempt to fulfill this PaymentIntent again.",
        "payment_method": {key: value for key, value in method.items() if not key.startswith("_")},
        "type": "invalid_request_error",
    }
    unit.save(intent)
    emit(unit, "payment_intent.payment_failed", intent)


def cancel_intent(unit: Unit, intent: Obj, reason: str | None) -> None:
    intent["status"] = "canceled"
    intent["canceled_at"] = unit.now(intent)
    intent["cancellation_reason"] = reason
    intent["next_action"] = None
    unit.save(intent)
    emit(unit, "payment_intent.canceled", intent)
