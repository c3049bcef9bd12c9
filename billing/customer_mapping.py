"""The mapping between Stripe customers and organizations."""

from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import Organization
from billing.models import BillingAccount
from billing.stripe.gateway.customers import SUBSCRIBER
from contextmcp.common.ids import as_uuid


def account_for_organization(organization: Organization) -> BillingAccount:
    """Return the organization's account, creating the row if necessary. Stripe is not called."""
    return BillingAccount.objects.select_related("organization").get_or_create(organization=organization)[0]


def account_for_customer(customer_id: str, customer: dict[str, Any] | None) -> BillingAccount | None:
    """Return the account of a customer, or None if the customer does not belong to this product.

    A customer without an account is linked to the organization that its metadata names, unless that organization has another customer.
    """
    row = BillingAccount.objects.select_related("organization").filter(stripe_customer_id=customer_id).first()
    if row or not customer:
        return row
    organization = organization_from_metadata(customer)
    if organization is None:
        return None
    account = account_for_organization(organization)
    if account.stripe_customer_id and not account.customer_deleted_at:
        return None  # A second customer of one organization is ignored here and reported by reconciliation.
    account.stripe_customer_id = customer_id
    account.customer_deleted_at = None
    account.save(update_fields=["stripe_customer_id", "customer_deleted_at"])
    return account


def belongs_to_organization(customer_id: str, customer: dict[str, Any] | None) -> bool:
    """Return whether the customer is linked to an organization or names one in its metadata. Changes nothing."""
    known = BillingAccount.objects.filter(stripe_customer_id=customer_id).exists()
    return known or (customer is not None and organization_from_metadata(customer) is not None)


def organization_from_metadata(customer: dict[str, Any]) -> Organization | None:
    """Return the organization that the customer's metadata names, or None."""
    identifier = as_uuid((customer.get("metadata") or {}).get(SUBSCRIBER))
    return Organization.objects.filter(pk=identifier).first() if identifier else None


def set_clock(account: BillingAccount, clock: dict[str, Any] | None) -> None:
    """Set the organization's clock offset from its customer's test clock; None resets it to real time."""
    organization = account.organization
    frozen = datetime.fromtimestamp(clock["frozen_time"], UTC) if clock else None
    # A test clock is frozen between two advances, but the organization's time continues. Applying an unchanged clock again would set the
    # time back.
    if frozen == account.clock_frozen_at and (clock["id"] if clock else "") == organization.test_clock_id:
        return
    account.clock_frozen_at = frozen
    organization.test_clock_id = clock["id"] if clock else ""
    organization.clock_offset = frozen - datetime.now(UTC) if frozen else timedelta()
    organization.save(update_fields=["test_clock_id", "clock_offset"])
