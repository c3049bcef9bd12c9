"""The base of actions that change something at Stripe."""

from uuid import UUID

from accounts.models import Organization
from billing.models import SubscriptionState
from billing.selectors import current_subscription
from billing.staff_actions.execute import StaffRequest, is_started
from billing.stripe.gateway.client import is_configured
from billing.subscriptions.resolve_plan_change import require_active_subscription

from .base import ConfirmedRequest, OrganizationAction, OrganizationFacts

NOT_CONFIGURED = "Payments are not set up on this server."
NO_SUBSCRIPTION = "The organization has no subscription."
NO_CUSTOMER = "The organization has no Stripe customer."


class StripeAction(OrganizationAction):
    """An action whose service sends one idempotent request. It is available for every organization with a Stripe customer."""

    group = "Billing"
    sensitive = True
    atomic = False

    def unavailable(self, facts: OrganizationFacts) -> str:
        if not is_configured():
            return NOT_CONFIGURED
        return "" if facts.account else NO_CUSTOMER

    def is_started(self, organization: Organization, submission: UUID) -> bool:
        return is_started(organization, submission)


class SubscriptionAction(StripeAction):
    """An action on the organization's subscription."""

    def unavailable(self, facts: OrganizationFacts) -> str:
        return super().unavailable(facts) or ("" if facts.subscription else NO_SUBSCRIPTION)


def staff_request(confirmed: ConfirmedRequest) -> StaffRequest:
    return StaffRequest(confirmed.actor, confirmed.reason, confirmed.id)


def subscription_of(organization: Organization) -> SubscriptionState:
    """Return the live subscription as of the last sync. Raises `NoSubscription`."""
    return require_active_subscription(organization)


def currency_of(organization: Organization) -> str:
    """Return the currency of the organization's latest subscription, or USD."""
    state = current_subscription(organization)
    return (state.currency if state else "") or "usd"
