"""Read Stripe's documents: types, times and references that all of billing needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KnownPrice:
    """The plan version and interval of a registered Stripe price. `amount` is in minor units."""

    plan_version_id: int
    plan: str
    version: int
    interval: str
    amount: int


Prices = Mapping[str, KnownPrice]


def to_datetime(seconds: int | None) -> datetime | None:
    """Convert a Unix timestamp in seconds to an aware datetime; None stays None."""
    return None if seconds is None else at(seconds)


def at(seconds: int) -> datetime:
    """Convert a Unix timestamp in seconds to an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def reference_id(reference: Any) -> str:
    """Return the id of a referenced object, whether it is expanded or not; empty for None."""
    return str(reference["id"] if isinstance(reference, Mapping) else reference or "")


def subscription_of(invoice: Document) -> str:
    """Return the id of an invoice's subscription; empty if it has none."""
    parent = invoice.get("parent") or {}
    return reference_id((parent.get("subscription_details") or {}).get("subscription"))


def paid_by(invoices: Iterable[Document]) -> dict[str, Document]:
    """Return the invoice of each payment intent id."""
    payments = ((payment["payment"], invoice) for invoice in invoices for payment in (invoice.get("payments") or {}).get("data", []))
    return {payment["payment_intent"]: invoice for payment, invoice in payments if payment.get("payment_intent")}
