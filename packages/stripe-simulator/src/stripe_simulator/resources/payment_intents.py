"""Payment intents."""

from stripe_simulator import cards, invoice_collection, payments
from stripe_simulator.defaults import address, merge_metadata, new_object
from stripe_simulator.errors import declined, invalid
from stripe_simulator.lists import page
from stripe_simulator.parameters import accept_only, read_all, unsupported
from stripe_simulator.render import view
from stripe_simulator.routes.match import route
from stripe_simulator.types import Obj, Params
from stripe_simulator.unit_of_work import Unit

DONE = ("succeeded", "canceled")


@route("POST", "/v1/payment_intents")
def create(unit: Unit, p: Params) -> Obj:
    if p["amount"] < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    if p.get("customer"):
        unit.require("customer", p["customer"], "customer")
    automatic = read_all(p.get("automatic_payment_methods"))
    types = p.get("payment_method_types") or ["card", "sepa_debit"]
    if unknown := set(types) - {"card", "sepa_debit"}:
        raise unsupported("payment_method_types", f" with the value {unknown.pop()!r}")
    accept_only(p, "off_session", False)
    accept_only(p, "error_on_requires_action", False)
    intent = payments.new_intent(
        unit,
        p["amount"],
        p["currency"].lower(),
        automatic_payment_methods={"allow_redirects": "always", **automatic} if automatic else None,
        capture_method=p.get("capture_method", "automatic"),
        confirmation_method=p.get("confirmation_method", "automatic"),
        customer=p.get("customer"),
        description=p.get("description"),
        payment_method_types=types,
        receipt_email=p.get("receipt_email"),
        setup_future_usage=p.get("setup_future_usage"),
        shipping=_shipping(p.get("shipping")),
    )
    read_all(p.get("mandate_data"))  # The mandate of a debit is accepted without checks.
    return_url = p.get("return_url")
    merge_metadata(intent, p.get("metadata"))
    intent["_return_url"] = return_url
    if method := p.get("payment_method"):
        intent["payment_method"] = payments.method(unit, method)["id"]
        intent["status"] = "requires_confirmation"
    if p.get("confirm"):
        _confirm(unit, intent)
    return intent


def _shipping(params: Params | None) -> Obj | None:
    return new_object("shipping", **{**read_all(params), "address": address(params["address"])}) if params else None


def _confirm(unit: Unit, intent: Obj) -> None:
    if intent["status"] in (*DONE, "requires_capture", "processing"):
        raise invalid(
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}.", code="payment_intent_unexpected_state"
        )
    if not intent["payment_method"]:
        raise invalid("You cannot confirm this PaymentIntent because it's missing a payment method.", "payment_method")
    method = unit.require("payment_method", intent["payment_method"])
    if invoice := unit.get(intent.get("_invoice") or ""):
        outcome = invoice_collection.collect(unit, invoice, method=method)
    else:
        outcome = payments.confirm(unit, intent, method)
    if outcome == "failed":
        raise _refusal(unit, intent)
    if outcome == "succeeded" and intent["setup_future_usage"] and intent["customer"]:
        payments.attach(unit, method, unit.require("customer", intent["customer"]))


def _refusal(unit: Unit, intent: Obj) -> Exception:
    error = intent["last_payment_error"]
    return declined(
        error.get("message", cards.MESSAGES["card_declined"]),
        error.get("decline_code"),
        code=error.get("code", "card_declined"),
        keep=True,
        charge=error.get("charge"),
        payment_intent=view(unit, intent),
    )


@route("GET", "/v1/payment_intents/{intent}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.require("payment_intent", p["intent"])


@route("POST", "/v1/payment_intents/{intent}")
def update(unit: Unit, p: Params) -> Obj:
    intent = unit.require("payment_intent", p["intent"])
    if set(p) - {"intent", "metadata", "description", "receipt_email"} and intent["status"] in (*DONE, "requires_capture", "processing"):
        message = f"This PaymentIntent's amount, customer and payment method could not be updated: its status is {intent['status']}."
        raise invalid(message, code="payment_intent_unexpected_state")
    merge_metadata(intent, p.get("metadata"))
    names = ("amount", "customer", "description", "receipt_email", "setup_future_usage")
    intent |= {name: p[name] for name in names if name in p}
    if method := p.get("payment_method"):
        intent["payment_method"] = payments.method(unit, method)["id"]
        intent["status"] = "requires_confirmation"
    unit.save(intent)
    return intent


@route("POST", "/v1/payment_intents/{intent}/confirm")
def confirm(unit: Unit, p: Params) -> Obj:
    intent = unit.require("payment_intent", p["intent"])
    if method := p.get("payment_method"):
        intent["payment_method"] = payments.method(unit, method)["id"]
    intent["_return_url"] = p.get("return_url")
    _confirm(unit, intent)
    return intent


@route("POST", "/v1/payment_intents/{intent}/capture")
def capture(unit: Unit, p: Params) -> Obj:
    intent = unit.require("payment_intent", p["intent"])
    accept_only(p, "final_capture", True)
    if intent["status"] != "requires_capture":
        message = (
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. "
            "Only a PaymentIntent with one of the following statuses may be captured: requires_capture."
        )
        raise invalid(message, code="payment_intent_unexpected_state")
    amount: int = p["amount_to_capture"] if "amount_to_capture" in p else intent["amount_capturable"]
    if not 0 < amount <= intent["amount_capturable"]:
        raise invalid("The amount to capture is greater than what can be captured.", "amount_to_capture", "amount_too_large")
    payments.capture(unit, intent, amount)
    return intent


@route("POST", "/v1/payment_intents/{intent}/cancel")
def cancel(unit: Unit, p: Params) -> Obj:
    intent = unit.require("payment_intent", p["intent"])
    if intent["status"] in (*DONE, "processing"):
        raise invalid(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}.", code="payment_intent_unexpected_state"
        )
    payments.cancel_intent(unit, intent, p.get("cancellation_reason"))
    return intent


@route("GET", "/v1/payment_intents")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/payment_intents", unit.find("payment_intent", customer=p.get("customer")), p)
