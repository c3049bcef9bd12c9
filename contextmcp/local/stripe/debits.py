"""SEPA direct debit: a payment that is only known to have worked, or not, some time after it was asked for."""

import re

from contextmcp.local.stripe import jobs
from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.events import emit
from contextmcp.local.stripe.kinds import Obj, new_id
from contextmcp.local.stripe.shape import blank
from contextmcp.local.stripe.unit import Unit

DELAY = 180  # seconds: Stripe's test accounts that settle later take at least three minutes
# The last digits of Stripe's test accounts: whether the debit fails, and whether it takes its time.
ACCOUNTS = {
    "4573201": (False, False),
    "5473202": (True, False),
    "5473203": (False, True),
    "5473204": (False, True),
    "5473205": (True, True),
    "0123456": (True, False),
}
FAILURE = ("debit_not_authorized", "The customer has notified their bank that this payment was unauthorized.")


def new_method(unit: Unit, iban: str, billing: Obj) -> Obj:
    digits = re.sub(r"\s", "", iban).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{10,30}", digits):
        raise invalid("The IBAN you provided is invalid.", "sepa_debit[iban]", "invalid_bank_account_iban")
    if not billing.get("name") or not billing.get("email"):
        raise invalid("A SEPA debit needs the name and the email of its payer.", "billing_details[email]", "parameter_missing")
    details = blank(
        "payment_method_sepa_debit",
        bank_code=digits[4:9],
        country=digits[:2],
        fingerprint=f"fp{digits[-12:]}",
        last4=digits[-4:],
        generated_from={"charge": None, "setup_attempt": None},
    )
    method = blank(
        "payment_method",
        id=new_id("pm", 24),
        allow_redisplay="unspecified",
        billing_details=blank("billing_details", **{"address": blank("address"), **billing}),
        created=unit.now(),
        metadata={},
        sepa_debit=details,
        type="sepa_debit",
        _iban=digits,
        _ready=True,
    )
    return unit.add(method)


def begin(unit: Unit, intent: Obj, method: Obj) -> str:
    """Ask the bank; the answer is a job of its own."""
    charge = blank(
        "charge",
        id=new_id("py", 24),
        amount=intent["amount"],
        amount_captured=intent["amount"],
        billing_details=method["billing_details"],
        captured=True,
        created=unit.now(intent),
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        fraud_details={},
        metadata=intent["metadata"],
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={
            "sepa_debit": blank(
                "payment_method_details_sepa_debit", **{name: method["sepa_debit"][name] for name in ("bank_code", "country", "last4")}
            ),
            "type": "sepa_debit",
        },
        status="pending",
    )
    unit.add(charge)
    intent["latest_charge"] = charge["id"]
    intent["next_action"] = None
    intent["status"] = "processing"
    unit.save(intent)
    emit(unit, "charge.pending", charge)
    emit(unit, "payment_intent.processing", intent)
    _, slow = ACCOUNTS.get(method["_iban"][-7:], (False, False))
    # The bank's time is real, whatever clock the customer hangs on.
    jobs.schedule_real(unit, "debit", intent, unit.real_now() + (DELAY if slow else 0))
    return "processing"


def settle(unit: Unit, intent: Obj, method: Obj) -> str:
    """The bank's answer: "succeeded" or "failed"."""
    failed, _ = ACCOUNTS.get(method["_iban"][-7:], (False, False))
    charge = unit.need("charge", intent["latest_charge"])
    charge["status"] = "failed" if failed else "succeeded"
    charge["paid"] = not failed
    if failed:
        charge |= {"amount_captured": 0, "captured": False, "failure_code": FAILURE[0], "failure_message": FAILURE[1]}
        intent["status"] = "requires_payment_method"
        intent["payment_method"] = None
        shown = {key: value for key, value in method.items() if not key.startswith("_")}
        intent["last_payment_error"] = {
            "charge": charge["id"],
            "code": FAILURE[0],
            "message": FAILURE[1],
            "payment_method": shown,
            "type": "invalid_request_error",
        }
        emit(unit, "charge.failed", charge)
        emit(unit, "payment_intent.payment_failed", intent)
        return "failed"
    charge["receipt_url"] = f"{unit.base_url}/receipts/{charge['id']}"
    intent["status"] = "succeeded"
    intent["amount_received"] = intent["amount"]
    intent["last_payment_error"] = None
    emit(unit, "charge.succeeded", charge)
    emit(unit, "payment_intent.succeeded", intent)
    return "succeeded"
