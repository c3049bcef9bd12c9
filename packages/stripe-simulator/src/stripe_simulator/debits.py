"""SEPA direct debits: payments whose result is known only some time after they were initiated."""

import re

from stripe_simulator import jobs
from stripe_simulator.defaults import new_object
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit
from stripe_simulator.store import Store
from stripe_simulator.types import DAY, Obj, new_id
from stripe_simulator.unit_of_work import Unit

DELAY_SECONDS = 180  # Seconds. Stripe's test accounts with delayed settlement take at least three minutes.
# The last digits of Stripe's test accounts: whether the debit fails, and whether the result is delayed.
ACCOUNTS = {
    "4573201": (False, False),
    "5473202": (True, False),
    "5473203": (False, True),
    "5473204": (False, True),
    "5473205": (True, True),
    "0123456": (True, False),
}
SETTING = "debit_days"
FAILURE = ("debit_not_authorized", "The customer has notified their bank that this payment was unauthorized.")


def configure(store: Store, days: float | None) -> dict[str, float | None]:
    """Set the days until the result of a debit, by the customer's clock. With None it arrives in real time, depending on the account."""
    with store.lock:
        store.set(SETTING, days)
    return {"days": days}


def new_method(unit: Unit, iban: str, billing: Obj) -> Obj:
    digits = re.sub(r"\s", "", iban).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{10,30}", digits):
        raise invalid("The IBAN you provided is invalid.", "sepa_debit[iban]", "invalid_bank_account_iban")
    if not billing.get("name") or not billing.get("email"):
        raise invalid("A SEPA debit needs the name and the email of its payer.", "billing_details[email]", "parameter_missing")
    details = new_object(
        "payment_method_sepa_debit",
        bank_code=digits[4:9],
        country=digits[:2],
        fingerprint=f"fp{digits[-12:]}",
        last4=digits[-4:],
        generated_from={"charge": None, "setup_attempt": None},
    )
    method = new_object(
        "payment_method",
        id=new_id("pm", 24),
        allow_redisplay="unspecified",
        billing_details=new_object("billing_details", **{"address": new_object("address"), **billing}),
        created=unit.now(),
        metadata={},
        sepa_debit=details,
        type="sepa_debit",
        _iban=digits,
        _ready=True,
    )
    return unit.add(method)


def initiate(unit: Unit, intent: Obj, method: Obj) -> str:
    """Initiate the debit. A separate job delivers the result."""
    charge = new_object(
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
            "sepa_debit": new_object(
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
    days = unit.store.setting(SETTING)
    if days is not None:
        jobs.schedule(unit, "debit", intent, int(unit.now(intent) + days * DAY))
        return "processing"
    _, slow = ACCOUNTS.get(method["_iban"][-7:], (False, False))
    # By default results arrive in real time, even if the customer is attached to a test clock.
    jobs.schedule_in_real_time(unit, "debit", intent, unit.real_time() + (DELAY_SECONDS if slow else 0))
    return "processing"


def settle(unit: Unit, intent: Obj, method: Obj) -> str:
    """Apply the result of the debit and return it: "succeeded" or "failed"."""
    failed, _ = ACCOUNTS.get(method["_iban"][-7:], (False, False))
    charge = unit.require("charge", intent["latest_charge"])
    charge["status"] = "failed" if failed else "succeeded"
    charge["paid"] = not failed
    if failed:
        charge |= {"amount_captured": 0, "captured": False, "failure_code": FAILURE[0], "failure_message": FAILURE[1]}
        intent["status"] = "requires_payment_method"
        intent["payment_method"] = None
        public = {key: value for key, value in method.items() if not key.startswith("_")}
        intent["last_payment_error"] = {
            "charge": charge["id"],
            "code": FAILURE[0],
            "message": FAILURE[1],
            "payment_method": public,
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
