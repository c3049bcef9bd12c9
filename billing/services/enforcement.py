"""Carrying out the policy on refunds and disputes."""

from accounts.audit import record
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
