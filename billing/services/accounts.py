"""Whose customer is it?"""

from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import Organization
from billing.gateway.customers import SUBSCRIBER
from billing.models import BillingAccount
from contextmcp.common.ids import as_uuid


def of_organization(organization: Organization) -> BillingAccount:
    return BillingAccount.objects.select_related("organization").get_or_create(organization=organization)[0]


def of_customer(customer_id: str, customer: dict[str, Any] | None) -> BillingAccount | None:
    """The account of a customer: the one that has it, or the organization it names, if that has no other. None: not ours."""
    found = BillingAccount.objects.select_related("organization").filter(stripe_customer_id=customer_id).first()
    if found or not customer:
        return found
    organization = named_by(customer)
    if organization is None:
        return None
    account = of_organization(organization)
    if account.stripe_customer_id and not account.customer_deleted_at:
        return None  # A second customer of one organization: reconciliation names it, nobody gains or loses by it.
    account.stripe_customer_id = customer_id
    account.customer_deleted_at = None
    account.save(update_fields=["stripe_customer_id", "customer_deleted_at"])
    return account


def is_ours(customer_id: str, customer: dict[str, Any] | None) -> bool:
    """Whether the customer belongs to an organization, or names one. Changes nothing."""
    known = BillingAccount.objects.filter(stripe_customer_id=customer_id).exists()
    return known or (customer is not None and named_by(customer) is not None)


def named_by(customer: dict[str, Any]) -> Organization | None:
    """The organization in the customer's metadata."""
    identifier = as_uuid((customer.get("metadata") or {}).get(SUBSCRIBER))
    return Organization.objects.filter(pk=identifier).first() if identifier else None


def set_clock(account: BillingAccount, clock: dict[str, Any] | None) -> None:
    """Move the organization's `now` with its customer's test clock."""
    organization = account.organization
    frozen = datetime.fromtimestamp(clock["frozen_time"], UTC) if clock else None
    # A clock stands still between two moves; our time goes on from where it was set, never back.
    if frozen == account.clock_frozen_at and (clock["id"] if clock else "") == organization.test_clock_id:
        return
    account.clock_frozen_at = frozen
    organization.test_clock_id = clock["id"] if clock else ""
    organization.clock_offset = frozen - datetime.now(UTC) if frozen else timedelta()
    organization.save(update_fields=["test_clock_id", "clock_offset"])
