"""Close an organization."""

from typing import Any

from accounts.manager import AuthManager
from accounts.models import ApiKey, Invitation, Membership, Organization
from accounts.oauth_models import OAuthGrant

from .base import ConfirmedRequest, OrganizationAction, OrganizationFacts, Preview, Row

GROUP = "Organization"


class CloseOrganization(OrganizationAction):
    name = "close"
    title = "Close the organization"
    group = GROUP
    permission = "accounts.close_organization"
    description = (
        "Keys and connected apps stop working, members lose access, and the subscription ends at Stripe immediately and without a "
        "refund. This cannot be undone."
    )
    sensitive = True
    destructive = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        keys = ApiKey.objects.filter(organization=organization, revoked_at=None).count()
        apps = OAuthGrant.objects.filter(membership__organization=organization, revoked_at=None).count()
        invitations = Invitation.objects.pending().filter(organization=organization).count()
        members = Membership.objects.filter(organization=organization).count()
        rows = [
            Row("Organization", "open", "closed"),
            Row("API keys", f"{keys:,} not revoked", "all revoked"),
            Row("Connected apps", f"{apps:,}", "all disconnected"),
            Row("Open invitations", f"{invitations:,}", "all revoked"),
            Row("Members", f"{members:,} with access", "no access"),
        ]
        subscription = OrganizationFacts(organization).subscription
        if subscription:
            rows.append(Row(f"Subscription {subscription.stripe_subscription_id}", subscription.status, "canceled at Stripe"))
        warnings = ("Nothing is refunded. If the customer should get money back, refund the payment first.",) if subscription else ()
        return Preview(tuple(rows), warnings)

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        AuthManager(organization).close(confirmed.actor, reason=confirmed.reason)
        return f"{organization.name} was closed."
