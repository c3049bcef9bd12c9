"""Close an organization: its billing first, then the organization itself."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, IntegerField, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from accounts.manager import AuthManager
from accounts.models import ApiKey, Invitation, Membership, OAuthGrant, Organization
from accounts.types import Caller
from billing.errors import NoSubscription
from billing.manager import BillingManager
from billing.models import Invoice
from contextmcp.common.clock import now
from usage.models import WebhookEndpoint


@dataclass(frozen=True)
class Ends:
    """How many of each stop working when the organization is closed."""

    keys: int
    apps: int
    members: int
    invitations: int
    endpoints: int


def what_ends(organization: Organization) -> Ends:
    """Return what closing the organization ends, with one query."""
    present = now(organization)
    rows = {
        "keys": ApiKey.objects.filter(organization=organization, revoked_at=None).exclude(expires_at__lte=present),
        "apps": OAuthGrant.objects.filter(membership__organization=organization, revoked_at=None),
        "members": Membership.objects.filter(organization=organization),
        "invitations": Invitation.objects.pending().filter(organization=organization, expires_at__gt=present),
        "endpoints": WebhookEndpoint.objects.filter(organization=organization, enabled=True),
    }
    counts = [_number(queryset) for queryset in rows.values()]
    numbers = Organization.objects.filter(pk=organization.pk).values_list(*counts).get()
    return Ends(**dict(zip(rows, numbers, strict=True)))


def _number(rows: QuerySet[Any]) -> Coalesce:
    """Return the number of rows as an expression of a query."""
    group = rows.order_by().annotate(_group=Value(1)).values("_group")
    return Coalesce(Subquery(group.annotate(_number=Count("pk")).values("_number"), output_field=IntegerField()), 0)


def open_invoices(organization: Organization) -> list[Invoice]:
    """Return the invoices that stay due after the organization is closed."""
    return list(organization.invoices.filter(status="open", amount_remaining__gt=0))


def close_organization(caller: Caller) -> None:
    """Cancel the subscription immediately and without a refund, then close the organization.

    If Stripe does not answer or refuses, nothing is closed. Subscriptions that this deployment does not know of yet are canceled by a job.

    Raises what `AuthManager.close` and `BillingManager.cancel` raise.
    """
    caller.require(scope="organization:write", permission="organization:manage")
    caller.require_recent_authentication()
    billing = BillingManager(caller.organization)
    if billing.is_configured() and billing.subscription().is_live:
        with suppress(NoSubscription):
            billing.cancel(caller, at_once=True)
    AuthManager(caller.organization).close(caller)
