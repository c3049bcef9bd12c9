"""Invoices after the draft: finalized, paid, retried, voided."""

from contextmcp.local.stripe import discounts, dunning, jobs, payments, proration, standing
from contextmcp.local.stripe.errors import Refusal
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.invoicing import need_draft, total
from contextmcp.local.stripe.kinds import Obj, ident, new_id
from contextmcp.local.stripe.shape import blank
from contextmcp.local.stripe.unit import Unit

SMALLEST = {"usd": 50, "eur": 50, "gbp": 30}


def finalize(unit: Unit, invoice: Obj) -> Obj:
    """Number it, use the customer's balance, ask for what is left. Nothing left means paid at once."""
    need_draft(invoice)
    jobs.cancel(unit, invoice, "finalize")
    proration.count_again(unit, invoice)
    total(unit, invoice)
    now = unit.now(invoice)
    customer = unit.need("customer", invoice["customer"])
    number = customer.get("next_invoice_sequence") or 1
    customer["next_invoice_sequence"] = number + 1
    _settle(unit, invoice, customer)
    invoice["number"] = f"{customer['invoice_prefix']}-{number:04d}"
    invoice["status"] = "open"
    invoice["effective_at"] = now
    invoice["automatically_finalizes_at"] = None
    invoice["status_transitions"]["finalized_at"] = now
    invoice["hosted_invoice_url"] = f"{unit.base_url}/i/{invoice['id']}"
    invoice["invoice_pdf"] = f"{unit.base_url}/i/{invoice['id']}/pdf"
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is not None:
        discounts.spend(unit, subscription, invoice["total_discount_amounts"])
    unit.save(invoice)
    updated(unit, customer)
    if invoice["amount_due"] == 0:
        emit(unit, "invoice.finalized", invoice)
        mark_paid(unit, invoice)
        return invoice
    _ask(unit, invoice)
    emit(unit, "invoice.finalized", invoice)
    return invoice


def _settle(unit: Unit, invoice: Obj, customer: Obj) -> None:
    balance, amount = customer["balance"], invoice["total"]
    invoice["starting_balance"] = balance
    due = max(amount + balance, 0) if amount > 0 else 0
    kind = "applied_to_invoice"
    if 0 < due < SMALLEST.get(invoice["currency"], 1):
        # Too little to charge: it waits on the balance for the next invoice.
        kind, due = "invoice_too_small", 0
        customer["balance"] = balance + amount
    else:
        customer["balance"] = balance + amount - due
    if customer["balance"] != balance:
        balance_entry(unit, customer, customer["balance"] - balance, kind, invoice=invoice["id"], currency=invoice["currency"])
    invoice["ending_balance"] = customer["balance"]
    invoice["amount_due"] = invoice["amount_remaining"] = due
    unit.save(customer)


def balance_entry(unit: Unit, customer: Obj, amount: int, kind: str, *, currency: str, **values: object) -> Obj:
    entry = blank(
        "customer_balance_transaction",
        id=new_id("cbtxn", 24),
        amount=amount,
        created=unit.now(customer),
        currency=currency,
        customer=customer["id"],
        ending_balance=customer["balance"],
        metadata={},
        type=kind,
    )
    entry.update(values)
    return unit.add(entry)


def _ask(unit: Unit, invoice: Obj) -> None:
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
        blank(
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
    """The invoice's own card, else the subscription's, else the customer's."""
    subscription = unit.get(invoice["_subscription"] or "")
    customer = unit.need("customer", invoice["customer"], deleted=True)
    owners = (invoice["default_payment_method"], subscription and subscription["default_payment_method"])
    for id in (*owners, (customer.get("invoice_settings") or {}).get("default_payment_method")):
        found = unit.get(ident(id) or "")
        if found is not None and not found.get("deleted") and found.get("customer"):
            return found
    return None


def collect(unit: Unit, invoice: Obj, *, method: Obj | None = None, authenticated: bool = False) -> str:
    """Try to get the money: "paid", "processing", "requires_action" or "failed"."""
    if invoice["status"] not in ("open", "uncollectible"):
        return "paid" if invoice["status"] == "paid" else "failed"
    jobs.cancel(unit, invoice, "retry")
    intent = unit.need("payment_intent", invoice["_intent"])
    if intent["status"] == "processing":
        return "processing"
    method = method or default_method(unit, invoice)
    outcome = "failed" if method is None else payments.confirm(unit, intent, method, authenticated=authenticated)
    invoice["attempted"] = True
    return conclude(unit, invoice, method, outcome)


def conclude(unit: Unit, invoice: Obj, method: Obj | None, outcome: str) -> str:
    """What an attempt's outcome makes of its invoice; the bank's answer to a direct debit comes later."""
    if outcome == "succeeded" and method is not None:
        _keep_method(unit, invoice, method)
        mark_paid(unit, invoice)
        return "paid"
    if outcome == "processing":
        unit.save(invoice)
        return outcome
    invoice["attempt_count"] += 1
    first = invoice.setdefault("_first_failure", unit.now(invoice))
    retries = invoice["auto_advance"] and invoice["billing_reason"] not in ("subscription_create", "manual")
    again = dunning.next_attempt(unit.store, first, invoice["attempt_count"]) if retries else None
    invoice["next_payment_attempt"] = again
    unit.save(invoice)
    if again:
        jobs.schedule(unit, "retry", invoice, again)
    if outcome == "requires_action":
        emit(unit, "invoice.payment_action_required", invoice)
    emit(unit, "invoice.payment_failed", invoice)
    updated(unit, invoice)
    customer = unit.need("customer", invoice["customer"])
    if invoice["_subscription"] and invoice["billing_reason"] != "subscription_create" and not customer["delinquent"]:
        customer["delinquent"] = True
        updated(unit, customer)
    standing.failed(unit, invoice)
    return outcome


def _keep_method(unit: Unit, invoice: Obj, method: Obj) -> None:
    """`save_default_payment_method=on_subscription`: what paid once is asked from now on."""
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is None or (subscription["payment_settings"] or {}).get("save_default_payment_method") != "on_subscription":
        return
    if ident(method.get("customer")) != invoice["customer"]:
        payments.attach(unit, method, unit.need("customer", invoice["customer"]))
    subscription["default_payment_method"] = method["id"]
    unit.save(subscription)


def refuse_payment(unit: Unit, invoice: Obj, *, keep: bool) -> Refusal:
    """Why an invoice could not be paid, as an API error."""
    intent = unit.need("payment_intent", invoice["_intent"])
    if intent["status"] == "requires_action":
        return Refusal(
            "This payment requires additional user action before it can be completed successfully. Payment can be completed using the "
            "PaymentIntent associated with the invoice.",
            status=402,
            kind="card_error",
            code="invoice_payment_intent_requires_action",
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
    invoice["attempt_count"] += 0 if invoice["amount_due"] == 0 else 1
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
    standing.paid(unit, invoice)


def close(unit: Unit, invoice: Obj, status: str) -> None:
    """Void it, or give it up as uncollectible."""
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
    standing.closed(unit, invoice)


def finish(unit: Unit, invoice: Obj, *, method: Obj | None = None) -> str:
    """Finalize and collect in one go; an invoice that is sent waits for its customer."""
    finalize(unit, invoice)
    if invoice["status"] == "open" and invoice["collection_method"] == "send_invoice":
        emit(unit, "invoice.sent", invoice)
        return "sent"
    return "paid" if invoice["status"] == "paid" else collect(unit, invoice, method=method)


@jobs.does("finalize")
def _finalize_due(unit: Unit, invoice: Obj) -> None:
    subscription = unit.get(invoice["_subscription"] or "")
    paused = subscription and subscription["pause_collection"]
    if invoice["status"] != "draft" or (paused and paused["behavior"] == "keep_as_draft"):
        return
    finalize(unit, invoice)
    if invoice["status"] != "open":
        return
    if paused:
        close(unit, invoice, {"void": "void"}.get(paused["behavior"], "uncollectible"))
    elif invoice["collection_method"] == "charge_automatically":
        collect(unit, invoice)
    else:
        emit(unit, "invoice.sent", invoice)


@jobs.does("retry")
def _retry_due(unit: Unit, invoice: Obj) -> None:
    if invoice["status"] == "open":
        collect(unit, invoice)
