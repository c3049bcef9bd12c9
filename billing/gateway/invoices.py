"""Invoices, previews of them, and the money behind them."""

from typing import Any

from billing.errors import StripeMissing
from contextmcp.common.ids import uuid7

from .client import ask, pages


def of_customer(customer_id: str) -> list[dict[str, Any]]:
    """All of them, drafts too, with the payments that were made on them."""
    return list(pages("/v1/invoices", customer=customer_id, expand=["data.payments", "data.discounts"]))


def preview(**params: Any) -> dict[str, Any]:
    # A preview changes nothing, so the key only has to be new.
    return ask("post", "/v1/invoices/create_preview", key=uuid7(), **params)


def pay(invoice_id: str, *, key: object) -> dict[str, Any]:
    return ask("post", f"/v1/invoices/{invoice_id}/pay", key=key)


def charges_of_customer(customer_id: str) -> list[dict[str, Any]]:
    return list(pages("/v1/charges", customer=customer_id))


def refunds_of_charge(charge_id: str) -> list[dict[str, Any]]:
    return list(pages("/v1/refunds", charge=charge_id))


def disputes_of_charge(charge_id: str) -> list[dict[str, Any]]:
    return list(pages("/v1/disputes", charge=charge_id))


def credit_notes_of_customer(customer_id: str) -> list[dict[str, Any]]:
    return list(pages("/v1/credit_notes", customer=customer_id))


def charge(charge_id: str) -> dict[str, Any] | None:
    try:
        return ask("get", f"/v1/charges/{charge_id}")
    except StripeMissing:
        return None


def invoice(invoice_id: str) -> dict[str, Any] | None:
    try:
        return ask("get", f"/v1/invoices/{invoice_id}")
    except StripeMissing:
        return None
