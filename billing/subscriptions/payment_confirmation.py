"""Plan changes that wait for payment confirmation. `idempotent_actions.conclude_pending_actions` records their outcome.

If the customer's bank requires confirmation of a payment, Stripe keeps the change as a pending update of the subscription for at most 23
hours (https://docs.stripe.com/billing/subscriptions/pending-updates). The payment is confirmed on the page of its invoice.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from accounts.models import Organization
from billing.customer_locks import serialized
from billing.documents.stripe_documents import at
from billing.errors import NoSubscription, PaymentConfirmationRequired, StripeRejected
from billing.idempotent_actions import idempotent_action
from billing.models import SubscriptionState
from billing.selectors import pending_change
from billing.stripe.gateway import invoices, subscriptions
from billing.sync.customer import sync_customer

from .resolve_plan_change import require_active_subscription


def start_confirmation(subscription_id: str, *, key: object, **change: Any) -> None:
    """Apply a change that may become a pending update. It is applied and paid unless an error is raised.

    Raises:
        PaymentConfirmationRequired: The change waits for confirmation. Details: `url` of the confirmation page, `expires_at`.
    """
    document = subscriptions.update(subscription_id, key=key, payment_behavior="pending_if_incomplete", expand=["latest_invoice"], **change)
    if update := document.get("pending_update"):
        url = document["latest_invoice"]["hosted_invoice_url"]
        raise PaymentConfirmationRequired(reason="authentication_required", url=url, expires_at=at(update["expires_at"]))


def repeat_confirmation(state: SubscriptionState, plan: str, interval: str) -> None:
    """Raise `PaymentConfirmationRequired` if the same change already waits for payment confirmation."""
    pending = pending_change(state)
    if pending and (pending.plan, pending.interval) == (plan, interval) and pending.url:
        raise PaymentConfirmationRequired(reason="authentication_required", url=pending.url, expires_at=pending.expires_at)


def discard_confirmation(state: SubscriptionState) -> bool:
    """Discard a pending change by voiding its invoice, and sync the customer. Returns whether there was one."""
    if not state.pending_change:
        return False
    invoice_id = state.pending_change["invoice"]
    # Stripe rejects the call if the invoice was paid or voided meanwhile. The following sync reads the outcome.
    with suppress(StripeRejected):
        invoices.void(invoice_id, key=f"void-{invoice_id}")
    sync_customer(state.stripe_customer_id)
    return True


def release_schedule(organization: Organization, schedule_id: str) -> None:
    """Release a schedule whose change was replaced by a later, paid change. Does nothing if it is no longer the subscription's schedule."""
    with serialized(organization.pk):
        try:
            state = require_active_subscription(organization)
        except NoSubscription:
            return
        if state.schedule_id != schedule_id:
            return
        with idempotent_action(organization, "release_schedule", None, schedule=schedule_id) as row, suppress(StripeRejected):
            subscriptions.release_schedule(schedule_id, key=row.pk)
        sync_customer(state.stripe_customer_id)
