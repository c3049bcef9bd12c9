"""Cancellations without a customer's request: by the refund policy, for closed organizations, and for withheld trials."""

from contextlib import suppress

from accounts.audit import record
from accounts.models import Organization
from billing.customer_locks import serialized
from billing.errors import NoSubscription, StripeMissing
from billing.idempotent_actions import idempotent_action
from billing.models import BillingAccount, SubscriptionState
from billing.stripe.gateway import subscriptions
from billing.sync.customer import sync_customer

from . import change_plan, checkout


def cancel_for_policy(customer_id: str, reason: str) -> None:
    """Cancel a customer's subscription immediately and record `reason` in the audit log."""
    account = BillingAccount.objects.select_related("organization").filter(stripe_customer_id=customer_id).first()
    if account is None:
        return
    try:
        change_plan.cancel_subscription(account.organization, None, at_once=True)
    except NoSubscription:
        return
    record(f"billing.{reason}", organization=account.organization, actor=None, target=f"billing:{account.organization_id}")


def cancel_all(organization: Organization) -> None:
    """Cancel all live subscriptions of a closed organization and expire its open Checkout session."""
    live = organization.subscriptions.live()
    while live.exclude(status="incomplete").exists():
        try:
            change_plan.cancel_subscription(organization, None, at_once=True)
        except NoSubscription:
            break
    for state in live.filter(status="incomplete"):
        _cancel_incomplete(organization, state)
    # If the session was completed meanwhile, `close_checkout` syncs, and the sync queues the cancellation of the new subscription.
    checkout.close_checkout(organization)


def withhold_trial(organization: Organization, subscription_id: str) -> None:
    """Cancel a subscription during its trial, before it is charged, because the person or the card has used a trial before."""
    with serialized(organization.pk):
        state = organization.subscriptions.filter(stripe_subscription_id=subscription_id, status="trialing").first()
        if state is None:
            return
        with idempotent_action(organization, "withhold_trial", None, subscription=subscription_id) as row, suppress(StripeMissing):
            subscriptions.cancel(subscription_id, key=row.pk)
        sync_customer(state.stripe_customer_id)


def _cancel_incomplete(organization: Organization, state: SubscriptionState) -> None:
    """Cancel a subscription whose first payment is missing. Otherwise, paying the invoice would start it."""
    with serialized(organization.pk):
        with (
            idempotent_action(organization, "cancel", None, subscription=state.stripe_subscription_id, at_once=True) as row,
            suppress(StripeMissing),
        ):
            subscriptions.cancel(state.stripe_subscription_id, key=row.pk)
        sync_customer(state.stripe_customer_id)
