"""Invoices, invoice previews, charges, refunds, disputes and credit notes."""

from typing import Any

from billing.errors import StripeMissing
from contextmcp.common.ids import uuid7

from .client import call, pages


def of_customer(customer_id: str) -> list[dict[str, Any]]:
    """Return all invoices of a customer, including drafts, with payments and discounts expanded."""
    return list(pages("/v1/invoices", customer=customer_id, expand=["data.payments", "data.discounts"]))


def preview(**params: Any) -> dict[str, Any]:
    """Return a preview of an invoice (https://docs.stripe.com/api/invoices/create_preview). Raises `NoUpcomingInvoice`."""
    # A preview changes nothing, so any unique key is valid.
    return call("post", "/v1/invoices/create_preview", key=uuid7(), **params)


def pay(invoice_id: str, *, key: object) -> dict[str, Any]:
    """Pay an open invoice with the default payment method. Raises `PaymentRequired` if the payment is declined."""
    return call("post", f"/v1/invoices/{invoice_id}/pay", key=key)


def finalize(invoice_id: str, *, key: object) -> dict[str, Any]:
    """Finalize a draft, so that it gets a number and a payment page. Stripe does not collect it automatically."""
    return call("post", f"/v1/invoices/{invoice_id}/finalize", key=key, auto_advance=False)


def void(invoice_id: str, *, key: object) -> dict[str, Any]:
    return call("post", f"/v1/invoices/{invoice_id}/void", key=key)


def charges_of_customer(customer_id: str) -> list[dict[str, Any]]:
    """Return all charges of a customer. A failed debit's balance transaction is expanded, because it contains the time of the failure."""
    return list(pages("/v1/charges", customer=customer_id, expand=["data.failure_balance_transaction"]))


def refunds_of_charge(charge_id: str) -> list[dict[str, Any]]:
    return list(pages("/v1/refunds", charge=charge_id))


def disputes_of_charge(charge_id: str) -> list[dict[str, Any]]:
    return list(pages("/v1/disputes", charge=charge_id))


def credit_notes_of_customer(customer_id: str) -> list[dict[str, Any]]:
    return list(pages("/v1/credit_notes", customer=customer_id))


def charge(charge_id: str) -> dict[str, Any] | None:
    """Return the charge; None if it does not exist."""
    try:
        return call("get", f"/v1/charges/{charge_id}")
    except StripeMissing:
        return None


def invoice(invoice_id: str) -> dict[str, Any] | None:
    """Return the invoice; None if it does not exist."""
    try:
        return call("get", f"/v1/invoices/{invoice_id}")
    except StripeMissing:
        return None


def payments(invoice_id: str) -> list[dict[str, Any]]:
    """Return the payments of an invoice. Raises `StripeMissing` if the invoice does not exist."""
    return list(pages("/v1/invoice_payments", invoice=invoice_id))


def payment_intent(intent_id: str) -> dict[str, Any]:
    """Return the payment intent with its latest charge expanded. Raises `StripeMissing`."""
    return call("get", f"/v1/payment_intents/{intent_id}", expand=["latest_charge"])


def refund(payment_intent: str, *, key: object, amount: int, reason: str) -> dict[str, Any]:
    """Refund `amount` minor units of a payment. `reason` is duplicate, fraudulent or requested_by_customer."""
    return call("post", "/v1/refunds", key=key, payment_intent=payment_intent, amount=amount, reason=reason)
