"""Compare an organization's subscriptions with Stripe: with the local mirror of Stripe's objects, or with Stripe itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from accounts.audit import record
from accounts.models import Organization, User
from billing.catalog import prices
from billing.documents import columns
from billing.documents.stripe_documents import Document, Prices
from billing.models import BillingAccount, SubscriptionState
from billing.stripe.mirror import read
from billing.types import SyncResult

from . import customers
from .sync.customer import sync_customer

# The columns of `SubscriptionState` that follow from the subscription's document alone. The others also depend on invoices and charges.
COMPARED = (
    "status",
    "plan_version_id",
    "stripe_price_id",
    "unit_amount",
    "quantity",
    "interval",
    "current_period_start",
    "current_period_end",
    "trial_end",
    "cancel_at",
    "ended_at",
    "collection_paused",
    "collection_resumes_at",
    "upcoming_change",
    "overage_item_id",
    "discounts",
)


@dataclass(frozen=True, slots=True)
class ComparedField:
    """One column of a subscription, with the stored value `here` and the value `at_stripe`."""

    name: str
    here: Any
    at_stripe: Any

    @property
    def differs(self) -> bool:
        return bool(self.here != self.at_stripe)


@dataclass(frozen=True, slots=True)
class ComparedSubscription:
    """A subscription as `SubscriptionState` and the mirror of Stripe's data have it.

    `state` is None if there is no `SubscriptionState`. `mirrored` is False if the subscription is not in the mirror.
    """

    subscription_id: str
    status: str
    state: SubscriptionState | None
    mirrored: bool
    fields: tuple[ComparedField, ...]

    @property
    def differs(self) -> bool:
        return self.state is None or not self.mirrored or any(field.differs for field in self.fields)


def compare_with_mirror(account: BillingAccount | None, states: Sequence[SubscriptionState]) -> list[ComparedSubscription]:
    """Compare the organization's subscriptions with the mirror, without a call to Stripe. Subscriptions to other products are left out."""
    customer_id = (account.stripe_customer_id if account else None) or ""
    mirrored = {document["id"]: document for document in prices.own_subscriptions(read.subscriptions(customer_id))} if customer_id else {}
    stored = {state.stripe_subscription_id: state for state in states}
    known = prices.price_index()
    ids = [*stored, *(each for each in mirrored if each not in stored)]
    return [_compare(each, stored.get(each), mirrored.get(each), known) for each in ids]


def _compare(subscription_id: str, state: SubscriptionState | None, document: Document | None, known: Prices) -> ComparedSubscription:
    at_stripe = _columns(document, known) if document else {}
    fields = tuple(ComparedField(name, getattr(state, name, None), at_stripe.get(name)) for name in COMPARED)
    status = state.status if state else str(at_stripe["status"])
    return ComparedSubscription(subscription_id, status, state, document is not None, fields)


def _columns(document: Document, known: Prices) -> dict[str, Any]:
    plan_item, _ = columns.plan_and_overage(document, known)
    # If the price is not registered, the last invoice determines the plan. Invoices are read only in this case.
    registered = plan_item is not None and plan_item["price"]["id"] in known
    invoices = [] if registered else read.invoices(str(document["customer"]))
    return columns.subscription_fields(document, invoices, known, timedelta(), {})


def compare_with_stripe(organization: Organization, actor: User) -> SyncResult:
    """Fetch the organization's customer from Stripe and return the differences, without storing anything but an audit event.

    Raises `NoCustomer`, `StripeUnavailable`, `BillingNotConfigured`.
    """
    customer_id = str(customers.require_account(organization).stripe_customer_id)
    result = sync_customer(customer_id, dry_run=True)
    differences = [f"{kind}: {subject}" for kind, subject, *_ in result.changes]
    record("billing.compared", organization=organization, actor=actor, target=customer_id, after={"differences": differences})
    return result
