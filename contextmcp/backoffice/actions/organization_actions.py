"""Close and reopen an organization, and compare it with Stripe."""

from typing import Any

from accounts.manager import AuthManager
from accounts.models import ApiKey, Invitation, Membership, OAuthGrant, Organization
from billing import reconciliation
from billing.customers import require_account
from billing.stripe.gateway.client import is_configured
from billing.sync.customer import sync_customer, sync_for_staff
from contextmcp.backoffice.wording import moment

from .base import ActionForm, ConfirmedRequest, OrganizationAction, OrganizationFacts, Preview, Row
from .fields import checkbox
from .stripe_action import NO_CUSTOMER, NOT_CONFIGURED

GROUP = "Organization"
MAX_ROWS = 50


class CloseOrganization(OrganizationAction):
    name = "close"
    title = "Close the organization"
    group = GROUP
    permission = "accounts.close_organization"
    description = (
        "Keys and connected apps stop working, members lose access, and the subscription ends at Stripe immediately and without a "
        "refund. The organization can be reopened, but these are not restored."
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
        warnings = ("Nothing is refunded. To return money, refund the payment first.",) if subscription else ()
        return Preview(tuple(rows), warnings)

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        AuthManager(organization).close(confirmed.actor, reason=confirmed.reason)
        return f"{organization.name} was closed."


class ReopenOrganization(OrganizationAction):
    name = "reopen"
    title = "Reopen the organization"
    group = GROUP
    permission = "accounts.reopen_organization"
    description = (
        "Members regain access, on the free plan or a plan granted by staff. Keys, connected apps, invitations and the subscription are "
        "not restored."
    )
    sensitive = True

    def unavailable(self, facts: OrganizationFacts) -> str:
        return "" if facts.organization.closed_at else "The organization is not closed."

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        members = Membership.objects.filter(organization=organization).count()
        rows = (
            Row("Organization", f"closed on {moment(organization.closed_at)}", "open"),
            Row("Members", "no access", f"{members:,} with access"),
        )
        subscription = OrganizationFacts(organization).subscription
        warnings = ("The subscription is still being canceled at Stripe, and will end.",) if subscription else ()
        return Preview(rows, warnings)

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        AuthManager(organization).reopen(confirmed.actor, reason=confirmed.reason)
        return f"{organization.name} was reopened."


class SyncFromStripe(OrganizationAction):
    name = "sync"
    title = "Sync from Stripe"
    group = "Billing"
    permission = "billing.operate_billing"
    description = "Fetches the customer from Stripe and repairs local differences. Nothing changes at Stripe."
    atomic = False

    def unavailable(self, facts: OrganizationFacts) -> str:
        if not is_configured():
            return NOT_CONFIGURED
        return "" if facts.account else NO_CUSTOMER

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        account = require_account(organization)
        result = sync_customer(str(account.stripe_customer_id), dry_run=True)
        rows = tuple(Row(f"{kind}: {subject}", str(local), str(stripe)) for kind, subject, stripe, local in result.changes[:MAX_ROWS])
        more = len(result.changes) - len(rows)
        rows = (*rows, Row("More differences", "", f"{more:,}")) if more > 0 else rows
        return Preview(rows or (Row("Differences", "none", "none"),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        account = require_account(organization)
        result = sync_for_staff(str(account.stripe_customer_id), organization, confirmed.actor, confirmed.reason)
        return f"{_differences(len(result.changes))} repaired."


class ReconcileForm(ActionForm):
    dry_run = checkbox("Dry run", help_text="Record differences without repairing them.")


class ReconcileWithStripe(SyncFromStripe):
    name = "reconcile"
    title = "Reconcile with Stripe"
    description = "Compares subscriptions, invoices and metered usage with Stripe, and records each difference in a reconciliation run."
    form = ReconcileForm

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        after = "recorded only" if data["dry_run"] else "recorded and repaired"
        return Preview((*super().preview(organization, data).rows, Row("Differences from Stripe, including metered usage", "", after)))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        run = reconciliation.reconcile(organization, dry_run=data["dry_run"], actor=confirmed.actor, reason=confirmed.reason)
        return f"{_differences(run.drifts.count())} found{', nothing was changed' if data['dry_run'] else ' and recorded'}."


def _differences(count: int) -> str:
    return f"{count:,} difference{'' if count == 1 else 's'}"
