"""Fetches the complete state of one customer from Stripe. The state does not depend on events, so a missed event loses no data."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from billing.stripe.gateway import customers, invoices, subscriptions

Document = dict[str, Any]


@dataclass
class StripeSnapshot:
    """Everything of one customer at Stripe. `customer` is None if it does not exist or was deleted."""

    customer_id: str
    customer: Document | None
    subscriptions: list[Document] = field(default_factory=list)
    invoices: list[Document] = field(default_factory=list)
    payment_methods: list[Document] = field(default_factory=list)
    charges: list[Document] = field(default_factory=list)
    refunds: list[Document] = field(default_factory=list)
    disputes: list[Document] = field(default_factory=list)
    credit_notes: list[Document] = field(default_factory=list)
    clock: Document | None = None


def fetch_snapshot(customer_id: str, known_subscriptions: list[str], ours: Callable[[Document | None], bool]) -> StripeSnapshot:
    """Fetch everything of one customer. Call it under the customer's lock.

    `known_subscriptions` are ids that are fetched one by one if the customer was deleted. `ours` decides from the customer's document
    whether it belongs to this product; otherwise nothing more is fetched, so that events of a foreign customer cost one call.
    """
    customer = customers.retrieve(customer_id)
    if customer is None or customer.get("deleted"):
        return StripeSnapshot(customer_id, None, subscriptions=_unlisted_subscriptions(known_subscriptions))
    if not ours(customer):
        return StripeSnapshot(customer_id, customer)
    snapshot = StripeSnapshot(
        customer_id,
        customer,
        subscriptions=subscriptions.of_customer(customer_id),
        invoices=invoices.of_customer(customer_id),
        payment_methods=customers.payment_methods(customer_id),
    )
    if any(invoice["amount_paid"] or invoice["attempted"] for invoice in snapshot.invoices if invoice["amount_due"]):
        _money(snapshot)
    if customer.get("test_clock"):
        snapshot.clock = customers.clock(customer["test_clock"])
    return snapshot


def _money(snapshot: StripeSnapshot) -> None:
    snapshot.charges = invoices.charges_of_customer(snapshot.customer_id)
    for charge in snapshot.charges:
        if charge["amount_refunded"]:
            snapshot.refunds += invoices.refunds_of_charge(charge["id"])
        if charge["disputed"]:
            snapshot.disputes += invoices.disputes_of_charge(charge["id"])
    if any(invoice["pre_payment_credit_notes_amount"] or invoice["post_payment_credit_notes_amount"] for invoice in snapshot.invoices):
        snapshot.credit_notes = invoices.credit_notes_of_customer(snapshot.customer_id)


def _unlisted_subscriptions(known: list[str]) -> list[Document]:
    """Return the subscriptions of a deleted customer. Stripe cancels them and omits them from lists."""
    documents = map(subscriptions.retrieve, known)
    return [document for document in documents if document]
