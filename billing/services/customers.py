"""The one customer of an organization at Stripe."""

from accounts.models import Organization
from billing.errors import NoCustomer, StripeMissing
from billing.gateway import customers
from billing.models import BillingAccount, BillingAction

from . import accounts, actions
from .actions import Actor, wish
from .locks import one_at_a_time
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


def known(organization: Organization) -> BillingAccount | None:
    """Its account, if there is somebody at Stripe."""
    accounts = BillingAccount.objects.filter(organization=organization, customer_deleted_at=None)
    return accounts.exclude(stripe_customer_id=None).exclude(stripe_customer_id="").first()


def existing(organization: Organization) -> BillingAccount:
    """Its account, or `NoCustomer` where there is nobody at Stripe to manage."""
    account = known(organization)
    if account is None:
        raise NoCustomer
    return account


def introduce(organization_id: str) -> None:
    """Tell Stripe the organization's name and billing address as they are now. Whoever comes late tells no older ones."""
    with one_at_a_time(organization_id):
        organization = Organization.objects.get(pk=organization_id)
        account = known(organization)
        if account is None:
            return
        said = {"name": organization.name, "email": organization.email}
        # A key of its own each time: an old answer, replayed, would hide that the name has changed back since.
        row = BillingAction.objects.create(organization=organization, kind="introduce", parameters=said)
        try:
            customers.update(str(account.stripe_customer_id), key=row.pk, **said)
        except StripeMissing:
            sync_customer(str(account.stripe_customer_id))
            return
        row.state = BillingAction.State.DONE
        row.save(update_fields=["state"])


def portal(organization: Organization, actor: Actor, return_url: str) -> str:
    """A fresh address of Stripe's portal, where cards are changed and invoices found."""
    account = existing(organization)
    # What is changed there comes after everything that was wished here.
    row = actions.new(organization, "open_portal", actor)
    try:
        session = customers.portal(str(account.stripe_customer_id), key=row.pk, return_url=return_url)
    except StripeMissing as error:
        sync_customer(str(account.stripe_customer_id))
        raise NoCustomer from error
    row.state = BillingAction.State.DONE
    row.save(update_fields=["state"])
    return str(session["url"])
