"""Ending subscriptions that nobody asked to end: by the policy on refunds and disputes, or because the organization is gone."""

from accounts.audit import record
from accounts.models import Organization
from billing.errors import NoSubscription
from billing.models import BillingAccount

from . import change


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
    """End what still runs of an organization that was closed."""
    while organization.subscriptions.live().exists():
        try:
            change.cancel(organization, None, at_once=True)
        except NoSubscription:
            return
