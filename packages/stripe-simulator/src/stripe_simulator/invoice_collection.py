"""Invoices after the draft: they are finalized, paid, retried and voided."""

from stripe_simulator import customer_balance, discounts, dunning, jobs, payments, proration, subscription_status
from stripe_simulator.defaults import new_object
from stripe_simulator.errors import Refusal
from stripe_simulator.events import emit, updated
from stripe_simulator.invoicing import require_draft, update_totals
from stripe_simulator.types import Obj, id_of, new_id
from stripe_simulator.unit_of_work import Unit


def finalize(unit: Unit, invoice: Obj) -> Obj:
    """Number the invoice, apply the customer's balance and create the payment intent. An invoice of zero is paid immediately."""
    require_draft(invoice)
    jobs.cancel(unit, invoice, "finalize")
    proration.add_late_usage(unit, invoice)
    update_totals(unit, invoice)
    now = unit.now(invoice)
    customer = unit.require("customer", invoice["customer"])
    number = customer.get("next_invoice_sequence") or 1
    customer["next_invoice_sequence"] = number + 1
    customer_balance.apply_to_invoice(unit, invoice, customer)
    invoice["number"] = f"{customer['invoice_prefix']}-{number:04d}"
    invoice["status"] = "open"
    invoice["effective_at"] = now
    invoice["automatically_finalizes_at"] = None
    invoice["status_transitions"]["finalized_at"] = now
    invoice["hosted_invoice_url"] = f"{unit.base_url}/i/{invoice['id']}"
    invoice["invoice_pdf"] = f"{unit.base_url}/i/{invoice['id']}/pdf"
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is not None:
        discounts.expire_used(unit, subscription, invoice["total_discount_amounts"])
    unit.save(invoice)
    updated(unit, customer)
    if invoice["amount_due"] == 0:
        emit(unit, "invoice.finalized", invoice)
        mark_paid(unit, invoice)
        return invoice
    _create_payment(unit, invoice)
    emit(unit, "invoice.finalized", invoice)
    return invoice


def _create_payment(unit: Unit, invoice: Obj) -> None:
    words = "Subscription update" if invoice["billing_reason"] == "subscription_update" else "Subscription creation"
    intent = payments.new_intent(
        unit,
        invoice["amount_due"],
        invoice["currency"],
        customer=invoice["customer"],
        description=words if invoice["_subscription"] else "Payment for Invoice",
        setup_future_usage="off_session" if invoice["_subscription"] else None,
        _invoice=invoice["id"],
    )
    invoice["_intent"] = intent["id"]
    payment = unit.add(
        new_object(
            "invoice_payment",
            id=new_id("inpay", 24),
            amount_requested=invoice["amount_due"],
            created=unit.now(invoice),
            currency=invoice["currency"],
            invoice=invoice["id"],
            is_default=True,
            payment={"payment_intent": intent["id"], "type": "payment_intent"},
            status="open",
        )
    )
    invoice["_payment"] = payment["id"]


def default_method(unit: Unit, invoice: Obj) -> Obj | None:
    """Return the default payment method of the invoice, else of the subscription, else of the customer."""
    subscription = unit.get(invoice["_subscription"] or "")
    customer = unit.require("customer", invoice["customer"], deleted=True)
    owners = (invoice["default_payment_method"], subscription and subscription["default_payment_method"])
    for id in (*owners, (customer.get("invoice_settings") or {}).get("default_payment_method")):
        method = unit.get(id_of(id) or "")
        if method is not None and not method.get("deleted") and method.get("customer"):
            return method
    return None


def collect(unit: Unit, invoice: Obj, *, method: Obj | None = None, authenticated: bool = False) -> str:
    """Attempt to collect the invoice. Return "paid", "processing", "requires_action" or "failed"."""
    if invoice["status"] not in ("open", "uncollectible"):
        return "paid" if invoice["status"] == "paid" else "failed"
    jobs.cancel(unit, invoice, "retry")
    intent = unit.require("payment_intent", invoice["_intent"])
    if intent["status"] == "processing":
        return "processing"
    method = method or default_method(unit, invoice)
    outcome = "failed" if method is None else payments.confirm(unit, intent, method, authenticated=authenticated)
    invoice["attempted"] = True
    return apply_outcome(unit, invoice, method, outcome)


def apply_outcome(unit: Unit, invoice: Obj, method: Obj | None, outcome: str) -> str:
    """Apply the outcome of an attempt to the invoice. The result of a direct debit arrives later."""
    if outcome == "succeeded" and method is not None:
        _save_default_method(unit, invoice, method)
        mark_paid(unit, invoice)
        return "paid"
    if outcome == "processing":
        unit.save(invoice)
        return outcome
    dunning.record_failure(unit, invoice)
    if outcome == "requires_action":
        emit(unit, "invoice.payment_action_required", invoice)
    emit(unit, "invoice.payment_failed", invoice)
    updated(unit, invoice)
    customer = unit.require("customer", invoice["customer"])
    owes = invoice["_subscription"] and invoice["billing_reason"] != "subscription_create" and not invoice.get("_postpones")
    if owes and not customer["delinquent"]:
        customer["delinquent"] = True
        updated(unit, customer)
    subscription_status.on_payment_failed(unit, invoice)
    return outcome


def _save_default_method(unit: Unit, invoice: Obj, method: Obj) -> None:
    """Apply `save_default_payment_method=on_subscription`: the method that paid becomes the subscription's default."""
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is None or (subscription["payment_settings"] or {}).get("save_default_payment_method") != "on_subscription":
        return
    if id_of(method.get("customer")) != invoice["customer"]:
        payments.attach(unit, method, unit.require("customer", invoice["customer"]))
    subscription["default_payment_method"] = method["id"]
    unit.save(subscription)


def payment_error(unit: Unit, invoice: Obj, *, keep: bool) -> Refusal:
    """Return the API error that says why an invoice could not be paid."""
    intent = unit.require("payment_intent", invoice["_intent"])
    if intent["status"] == "requires_action":
        return Refusal(
            "This payment requires additional user action before it can be completed successfully. Payment can be completed using the "
            "PaymentIntent associated with the invoice.",
            status=402,
            kind="card_error",
            code=f"{'invoice' if keep else 'subscription'}_payment_intent_requires_action",
            keep=keep,
        )
    error = intent["last_payment_error"]
    if error is None:
        message = "This customer has no attached payment source or default payment method. Please consider adding a default payment method."
        return Refusal(message, code="resource_missing", keep=keep)
    return Refusal(
        error["message"],
        status=402,
        kind="card_error",
        code=error["code"],
        keep=keep,
        decline_code=error.get("decline_code"),
        charge=error.get("charge"),
    )


def mark_paid(unit: Unit, invoice: Obj, *, outside: bool = False) -> None:
    now = unit.now(invoice)
    jobs.cancel(unit, invoice)
    invoice["status"] = "paid"
    invoice["attempted"] = True
    if invoice["amount_due"]:
        dunning.count_attempt(invoice)
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    invoice["amount_paid"] = invoice["amount_due"]
    invoice["amount_remaining"] = 0
    invoice["status_transitions"]["paid_at"] = now
    if outside:
        invoice["amount_paid_off_stripe"] = invoice["amount_due"]
    unit.save(invoice)
    emit(unit, "invoice.paid", invoice)
    emit(unit, "invoice.payment_succeeded", invoice)
    if payment := unit.get(invoice.get("_payment") or ""):
        payment["status"] = "canceled" if outside else "paid"
        payment["amount_paid"] = None if outside else invoice["amount_paid"]
        payment["status_transitions"] = {"canceled_at": now if outside else None, "paid_at": None if outside else now}
        unit.save(payment)
        if not outside:
            emit(unit, "invoice_payment.paid", payment)
    customer = unit.get(invoice["customer"])
    if customer and customer.get("delinquent"):
        customer["delinquent"] = False
        updated(unit, customer)
    subscription_status.on_invoice_paid(unit, invoice)


def close(unit: Unit, invoice: Obj, status: str) -> None:
    """Void the invoice or mark it as uncollectible."""
    now = unit.now(invoice)
    jobs.cancel(unit, invoice)
    field = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
    invoice["status"] = status
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    invoice["status_transitions"][field] = now
    intent = unit.get(invoice.get("_intent") or "")
    if status == "void" and intent and intent["status"] not in ("succeeded", "canceled"):
        payments.cancel_intent(unit, intent, "void_invoice")
    unit.save(invoice)
    emit(unit, "invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)
    subscription_status.on_invoice_closed(unit, invoice)


def finalize_and_collect(unit: Unit, invoice: Obj, *, method: Obj | None = None) -> str:
    """Finalize the invoice and collect it. `send_invoice` only sends it, and with paused collection nothing is charged."""
    if _pause_behavior(unit, invoice) == "keep_as_draft":
        return _keep_as_draft(unit, invoice)
    finalize(unit, invoice)
    if invoice["status"] == "open" and _pause_behavior(unit, invoice):
        return _close_paused(unit, invoice)
    if invoice["status"] == "open" and invoice["collection_method"] == "send_invoice":
        emit(unit, "invoice.sent", invoice)
        return "sent"
    return "paid" if invoice["status"] == "paid" else collect(unit, invoice, method=method)


def _pause_behavior(unit: Unit, invoice: Obj) -> str:
    """Return the behavior of the subscription's `pause_collection`, or an empty string."""
    subscription = unit.get(invoice["_subscription"] or "")
    paused = subscription and subscription["pause_collection"]
    return str(paused["behavior"]) if paused else ""


def _keep_as_draft(unit: Unit, invoice: Obj) -> str:
    """Keep the invoice as a draft, also after collection resumes. Only the operator can finalize it."""
    invoice["auto_advance"] = False
    invoice["automatically_finalizes_at"] = None
    updated(unit, invoice)
    return "paused"


def _close_paused(unit: Unit, invoice: Obj) -> str:
    close(unit, invoice, "void" if _pause_behavior(unit, invoice) == "void" else "uncollectible")
    return "paused"


@jobs.handles("finalize")
def _finalize_due(unit: Unit, invoice: Obj) -> None:
    if invoice["status"] != "draft":
        return
    subscription = unit.get(invoice["_subscription"] or "")
    # Invoices of an unpaid subscription are not collected automatically.
    if _pause_behavior(unit, invoice) == "keep_as_draft" or (subscription is not None and subscription["status"] == "unpaid"):
        _keep_as_draft(unit, invoice)
        return
    finalize(unit, invoice)
    if invoice["status"] != "open":
        return
    if _pause_behavior(unit, invoice):
        _close_paused(unit, invoice)
    elif invoice["collection_method"] == "charge_automatically":
        collect(unit, invoice)
    else:
        emit(unit, "invoice.sent", invoice)


@jobs.handles("retry")
def _retry_due(unit: Unit, invoice: Obj) -> None:
    if invoice["status"] == "open":
        invoice["_retrying"] = True  # removed with the outcome, which arrives days later for a direct debit
        collect(unit, invoice)
