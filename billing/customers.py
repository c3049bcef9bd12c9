"""The Stripe customer of an organization: creation, updates and portal sessions."""

from django.core.cache import cache

from accounts.models import Organization
from billing.errors import NoCustomer, StripeMissing, StripeRejected, StripeUnavailable
from billing.models import BillingAccount, BillingAction
from billing.stripe.gateway import customers

from . import customer_mapping as accounts
from . import idempotent_actions
from .customer_locks import serialized
from .idempotent_actions import Actor, idempotent_action
from .sync.customer import sync_customer

# How long the features of the customer portal are cached, and how long Stripe's failure to tell them is.
PORTAL_SECONDS = 3600
RETRY_SECONDS = 60


def ensure_customer(organization: Organization, actor: Actor, *, test_clock: str = "") -> BillingAccount:
    """Return the organization's account, creating its Stripe customer if necessary. Call it within `serialized`."""
    account = accounts.account_for_organization(organization)
    if account.stripe_customer_id and not account.customer_deleted_at:
        return account
    replaces = account.stripe_customer_id or ""
    clock = test_clock or ("" if replaces else organization.test_clock_id)
    with idempotent_action(organization, "create_customer", actor, replaces=replaces, test_clock=clock) as row:
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


def find_account(organization: Organization) -> BillingAccount | None:
    """Return the organization's account if it has a Stripe customer that is not deleted."""
    accounts = BillingAccount.objects.filter(organization=organization, customer_deleted_at=None)
    return accounts.exclude(stripe_customer_id=None).exclude(stripe_customer_id="").first()


def require_account(organization: Organization) -> BillingAccount:
    """Return the organization's account. Raises `NoCustomer` if it has no Stripe customer."""
    account = find_account(organization)
    if account is None:
        raise NoCustomer
    return account


def update_customer(organization_id: str) -> None:
    """Update the Stripe customer's name and email address. Current values are read here, so a delayed job never sends stale ones."""
    with serialized(organization_id):
        organization = Organization.objects.get(pk=organization_id)
        account = find_account(organization)
        if account is None:
            return
        details = {"name": organization.name, "email": organization.email}
        # A new key for each update: with a reused key, Stripe would replay the first response when a name is changed back.
        row = BillingAction.objects.create(organization=organization, kind="update_customer", parameters=details)
        try:
            customers.update(str(account.stripe_customer_id), key=row.pk, **details)
        except StripeMissing:
            sync_customer(str(account.stripe_customer_id))
            return
        row.state = BillingAction.State.DONE
        row.save(update_fields=["state"])


def create_portal_session(organization: Organization, actor: Actor, return_url: str, flow: str = "") -> str:
    """Create a customer portal session and return its URL. With `flow`, it opens that page of the portal. Raises `NoCustomer`."""
    account = require_account(organization)
    # The customer can change the subscription in the portal, so earlier pending actions must not be repeated. `start_action` supersedes
    # them.
    row = idempotent_actions.start_action(organization, "open_portal", actor)
    try:
        session = customers.portal(str(account.stripe_customer_id), key=row.pk, return_url=return_url, flow=flow)
    except StripeMissing as error:
        sync_customer(str(account.stripe_customer_id))
        raise NoCustomer from error
    row.state = BillingAction.State.DONE
    row.save(update_fields=["state"])
    return str(session["url"])


def portal_details() -> list[str]:
    """Return the details that customers can change in the portal, such as "address" and "tax_id", cached for an hour.

    Empty if the operator allows none, or if Stripe does not answer.
    """
    key = "billing:portal_details"
    details: list[str] | None = cache.get(key)
    if details is None:
        details, seconds = [], PORTAL_SECONDS
        try:
            update = (customers.portal_features() or {}).get("customer_update") or {}
            details = list(update["allowed_updates"]) if update.get("enabled") else []
        except (StripeUnavailable, StripeRejected):
            seconds = RETRY_SECONDS
        cache.set(key, details, seconds)
    return details
