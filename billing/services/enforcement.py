"""Ending subscriptions that nobody asked to end: by the policy on refunds and disputes, or because the organization is gone."""

from contextlib import suppress

from accounts.audit import record
from accounts.models import Organization
from billing.errors import NoSubscription, StripeMissing
from billing.gateway import subscriptions
from billing.models import BillingAccount, SubscriptionState

from . import change, checkout
from .actions import wish
from .locks import one_at_a_time
from .sync import sync_customer


def enforce(customer_id: str, reason: str) -> None:
    """End the subscription now. Staff see why in the audit trail."""
    account = BillingAccount.objects.select_related("organization").filter(stripe_customer_id=customer_id).first()
    if account is None:
        return
    try:
        change.cancel(account.organization, None, at_once=True)
    except NoSubscription:
        return
    record(f"billing.{reason}", organization=account.organization, actor=None, target=f"billing:{account.organization_id}")


def end_everything(organization: Organization) -> None:
    """End what still runs of an organization that was closed, and close the page where more could be bought."""
    live = organization.subscriptions.live()
    while live.exclude(status="incomplete").exists():
        try:
            change.cancel(organization, None, at_once=True)
        except NoSubscription:
            break
    for state in live.filter(status="incomplete"):
        _give_up(organization, state)
    # What was bought there meanwhile is found by the look at Stripe that follows, and ended next.
    checkout.close(organization)


def _give_up(organization: Organization, state: SubscriptionState) -> None:
    """End one whose first payment is missing: whoever made it would start it by paying."""
    with one_at_a_time(organization.pk):
        with wish(organization, "cancel", None, subscription=state.stripe_subscription_id, at_once=True) as row, suppress(StripeMissing):
            subscriptions.cancel(state.stripe_subscription_id, key=row.pk)
        sync_customer(state.stripe_customer_id)
