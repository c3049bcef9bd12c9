"""Stripe's present truth about one customer, fetched whole: no event is needed to know it, so none can be missed for good."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from billing.gateway import customers, invoices, subscriptions

Document = dict[str, Any]


@dataclass
class Truth:
    """As Stripe has it now. `customer` is None where there is none (any more)."""

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


def fetch(customer_id: str, known_subscriptions: list[str], ours: Callable[[Document | None], bool]) -> Truth:
    """Fetch everything about one customer. Call it under the customer's lock.

    `known_subscriptions` are asked for one by one where the customer was deleted. `ours` says of the customer as Stripe has it whether it
    concerns this product: of any other nothing more is fetched, so that a foreign customer's events cost one call.
    """
    customer = customers.retrieve(customer_id)
    if customer is None or customer.get("deleted"):
        return Truth(customer_id, None, subscriptions=_left_over(known_subscriptions))
    if not ours(customer):
        return Truth(customer_id, customer)
    truth = Truth(
        customer_id,
        customer,
        subscriptions=subscriptions.of_customer(customer_id),
        invoices=invoices.of_customer(customer_id),
        payment_methods=customers.payment_methods(customer_id),
    )
    if any(invoice["amount_paid"] for invoice in truth.invoices):
        _money(truth)
    if customer.get("test_clock"):
        truth.clock = customers.clock(customer["test_clock"])
    return truth


def _money(truth: Truth) -> None:
    truth.charges = invoices.charges_of_customer(truth.customer_id)
    for charge in truth.charges:
        if charge["amount_refunded"]:
            truth.refunds += invoices.refunds_of_charge(charge["id"])
        if charge["disputed"]:
            truth.disputes += invoices.disputes_of_charge(charge["id"])
    if any(invoice["pre_payment_credit_notes_amount"] or invoice["post_payment_credit_notes_amount"] for invoice in truth.invoices):
        truth.credit_notes = invoices.credit_notes_of_customer(truth.customer_id)


def _left_over(known: list[str]) -> list[Document]:
    """What became of the subscriptions of a deleted customer: Stripe cancelled them, and lists them no more."""
    found = map(subscriptions.retrieve, known)
    return [document for document in found if document]
