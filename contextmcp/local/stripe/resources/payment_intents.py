"""Payment intents: money asked for, until it is there."""

from contextmcp.local.stripe import cards, collecting, payments
from contextmcp.local.stripe.errors import declined, invalid
from contextmcp.local.stripe.kinds import Obj, Params
from contextmcp.local.stripe.lists import page
from contextmcp.local.stripe.parameters import only, take_all, unsupported
from contextmcp.local.stripe.render import view
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.shape import address, blank, merge_metadata
from contextmcp.local.stripe.unit import Unit

DONE = ("succeeded", "canceled")


@answers("POST", "/v1/payment_intents")
def create(unit: Unit, p: Params) -> Obj:
    if p["amount"] < 1:
        raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    if p.get("customer"):
        unit.need("customer", p["customer"], "customer")
    automatic = take_all(p.get("automatic_payment_methods"))
    types = p.get("payment_method_types") or ["card", "sepa_debit"]
    if unknown := set(types) - {"card", "sepa_debit"}:
        raise unsupported("payment_method_types", f" with the value {unknown.pop()!r}")
    only(p, "off_session", False)
    only(p, "error_on_requires_action", False)
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
    take_all(p.get("mandate_data"))  # a debit's mandate is trusted as it is
    return_url = p.get("return_url")
    merge_metadata(intent, p.get("metadata"))
    intent["_return_url"] = return_url
    if method := p.get("payment_method"):
        intent["payment_method"] = payments.method(unit, method)["id"]
        intent["status"] = "requires_confirmation"
    if p.get("confirm"):
        _confirm(unit, intent)
    return intent


def _shipping(given: Params | None) -> Obj | None:
    return blank("shipping", **{**take_all(given), "address": address(given["address"])}) if given else None


def _confirm(unit: Unit, intent: Obj) -> None:
    if intent["status"] in (*DONE, "requires_capture", "processing"):
        raise invalid(
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}.", code="payment_intent_unexpected_state"
        )
    if not intent["payment_method"]:
        raise invalid("You cannot confirm this PaymentIntent because it's missing a payment method.", "payment_method")
    method = unit.need("payment_method", intent["payment_method"])
    if invoice := unit.get(intent.get("_invoice") or ""):
        outcome = collecting.collect(unit, invoice, method=method)
    else:
        outcome = payments.confirm(unit, intent, method)
    if outcome == "failed":
        raise _refusal(unit, intent)
    if outcome == "succeeded" and intent["setup_future_usage"] and intent["customer"]:
        payments.attach(unit, method, unit.need("customer", intent["customer"]))


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


@answers("GET", "/v1/payment_intents/{intent}")
def retrieve(unit: Unit, p: Params) -> Obj:
    return unit.need("payment_intent", p["intent"])


@answers("POST", "/v1/payment_intents/{intent}")
def update(unit: Unit, p: Params) -> Obj:
    intent = unit.need("payment_intent", p["intent"])
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


@answers("POST", "/v1/payment_intents/{intent}/confirm")
def confirm(unit: Unit, p: Params) -> Obj:
    intent = unit.need("payment_intent", p["intent"])
    if method := p.get("payment_method"):
        intent["payment_method"] = payments.method(unit, method)["id"]
    intent["_return_url"] = p.get("return_url")
    _confirm(unit, intent)
    return intent


@answers("POST", "/v1/payment_intents/{intent}/capture")
def capture(unit: Unit, p: Params) -> Obj:
    intent = unit.need("payment_intent", p["intent"])
    only(p, "final_capture", True)
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


@answers("POST", "/v1/payment_intents/{intent}/cancel")
def cancel(unit: Unit, p: Params) -> Obj:
    intent = unit.need("payment_intent", p["intent"])
    if intent["status"] in (*DONE, "processing"):
        raise invalid(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}.", code="payment_intent_unexpected_state"
        )
    payments.cancel_intent(unit, intent, p.get("cancellation_reason"))
    return intent


@answers("GET", "/v1/payment_intents")
def index(unit: Unit, p: Params) -> Obj:
    return page("/v1/payment_intents", unit.find("payment_intent", customer=p.get("customer")), p)
