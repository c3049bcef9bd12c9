"""Refund the payment of an invoice, in full or in part (https://docs.stripe.com/refunds)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.models import Organization
from billing.documents.refund_policy import CANCEL
from billing.documents.stripe_documents import reference_id
from billing.errors import AmountTooHigh, NotRefundable
from billing.models import Invoice
from billing.stripe.gateway import invoices
from contextmcp.common.money import format_amount

from .execute import StaffRequest, execute, parameters_of

REASONS = {
    "requested_by_customer": "Requested by the customer",
    "duplicate": "Duplicate charge",
    "fraudulent": "Fraudulent",
}


@dataclass(frozen=True, slots=True)
class RefundablePayment:
    """The payment of an invoice. Amounts are minor units of `currency`."""

    payment_intent: str
    customer_id: str
    paid: int
    refunded: int
    currency: str

    @property
    def refundable(self) -> int:
        return self.paid - self.refunded


def paid_invoices(organization: Organization, limit: int = 100) -> list[Invoice]:
    """Return the newest invoices with a payment, as of the last sync."""
    return list(organization.invoices.filter(status="paid", amount_paid__gt=0).order_by("-created_at", "-id")[:limit])


def refundable_payment(invoice: Invoice) -> RefundablePayment:
    """Return the invoice's payment as it is at Stripe. Raises `NotRefundable`, `StripeUnavailable`."""
    paid = [each for each in invoices.payments(invoice.stripe_invoice_id) if each["status"] == "paid"]
    intents = [each["payment"]["payment_intent"] for each in paid if each["payment"].get("payment_intent")]
    if not intents:
        raise NotRefundable
    intent = invoices.payment_intent(reference_id(intents[0]))
    charge = intent.get("latest_charge")
    if not charge or not charge["paid"]:
        raise NotRefundable
    return RefundablePayment(
        intent["id"], reference_id(charge["customer"]), charge["amount_captured"], charge["amount_refunded"], charge["currency"]
    )


def check_amount(payment: RefundablePayment, amount: int | None) -> int:
    """Return the amount to refund, by default all that can still be refunded. Raises `NotRefundable`, `AmountTooHigh`."""
    if payment.refundable <= 0:
        raise NotRefundable("This payment was already fully refunded.")
    if amount is not None and amount > payment.refundable:
        text = f"At most {format_amount(payment.refundable, payment.currency)} can be refunded for this payment."
        raise AmountTooHigh(text, maximum=payment.refundable)
    return payment.refundable if amount is None else amount


def cancels_subscription(invoice: Invoice, payment: RefundablePayment, amount: int) -> bool:
    """Return whether `BILLING_REFUND_POLICY` ends the subscription after this refund: the newest payment is refunded completely."""
    if settings.BILLING_REFUND_POLICY != CANCEL or amount < payment.refundable:
        return False
    live = invoice.organization.subscriptions.live().filter(stripe_subscription_id=invoice.stripe_subscription_id)
    newer = invoice.organization.invoices.filter(status="paid", amount_paid__gt=0, created_at__gt=invoice.created_at)
    return live.exists() and not newer.filter(stripe_subscription_id=invoice.stripe_subscription_id).exists()


def refund_invoice(invoice: Invoice, amount: int | None, stripe_reason: str, request: StaffRequest) -> int:
    """Refund `amount` minor units of the invoice's payment, by default all that can still be refunded. Return the amount.

    Raises `NotRefundable`, `AmountTooHigh`, and `StripeRejected`, for example for a disputed payment.
    """

    def prepare() -> dict[str, Any]:
        payment = refundable_payment(invoice)
        return {
            "invoice": invoice.stripe_invoice_id,
            "payment_intent": payment.payment_intent,
            "customer": payment.customer_id,
            "amount": check_amount(payment, amount),
            "currency": payment.currency,
            "refunded": payment.refunded,
            "reason": stripe_reason,
        }

    parameters = parameters_of(invoice.organization, request, "refund", prepare)

    def change(key: UUID) -> dict[str, Any]:
        refund = invoices.refund(parameters["payment_intent"], key=key, amount=parameters["amount"], reason=parameters["reason"])
        shared, before = {"invoice": str(invoice), "currency": parameters["currency"]}, parameters["refunded"]
        return {
            "target": refund["id"],
            "before": {**shared, "refunded": before},
            "after": {**shared, "refunded": before + refund["amount"], "amount": refund["amount"], "status": refund["status"]},
        }

    execute(invoice.organization, request, "refund", parameters, change)
    return int(parameters["amount"])
