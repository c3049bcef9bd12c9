"""The one customer of an organization at Stripe."""

from accounts.models import Organization
from billing.errors import NoCustomer, StripeMissing
from billing.gateway import customers
from billing.models import BillingAccount, BillingAction

from . import accounts
from .actions import Actor, wish
from .sync import sync_customer


def ensure(organization: Organization, actor: Actor, *, test_clock: str = "") -> BillingAccount:
    """Its account, with a customer. Call it while the organization's billing is yours alone (`one_at_a_time`)."""
    account = accounts.of_organization(organization)
    if account.stripe_customer_id and not account.customer_deleted_at:
        return account
    replaces = account.stripe_customer_id or ""
    clock = test_clock or ("" if replaces else organization.test_clock_id)
    with wish(organization, "create_customer", actor, replaces=replaces, test_clock=clock) as row:
        customer = customers.create(
            key=row.pk,
            organization_id=organization.pk,
            name=organization.name,
            email=organization.email,
            test_clock=clock,
        )
        account.stripe_customer_id = customer["id"]
        account.customer_deleted_at = None
        account.save(update_fields=["stripe_customer_id", "customer_deleted_at"])
    return account


def existing(organization: Organization) -> BillingAccount:
    """Its account, or `NoCustomer` where there is nobody at Stripe to manage."""
    account = BillingAccount.objects.filter(organization=organization).first()
    if account is None or not account.stripe_customer_id or account.customer_deleted_at:
        raise NoCustomer
    return account


def portal(organization: Organization, actor: Actor, return_url: str) -> str:
    """A fresh address of Stripe's portal, where cards are changed and invoices found."""
    account = existing(organization)
    row = BillingAction.objects.create(organization=organization, kind="open_portal")
    try:
        session = customers.portal(str(account.stripe_customer_id), key=row.pk, return_url=return_url)
    except StripeMissing as error:
        sync_customer(str(account.stripe_customer_id))
        raise NoCustomer from error
    row.state = BillingAction.State.DONE
    row.save(update_fields=["state"])
    return str(session["url"])
