"""Telling customers' own systems what became of their subscription."""

from collections.abc import Iterable, Sequence
from typing import Any

from accounts.models import Organization
from billing.models import SubscriptionState
from usage.webhooks import outbox

# What is news to a customer; the rest is how Stripe keeps its books.
TOLD = ("missing", "status", "plan_version_id", "interval", "cancel_at", "upcoming_change", "grace_until")
KINDS = frozenset(f"subscriptionstate_{name}" for name in TOLD)


def changed(organization: Organization, states: Iterable[SubscriptionState], changes: Sequence[tuple[str, str, Any, Any]]) -> None:
    """Queue a `subscription.changed` for each subscription that differs in what is news; in the transaction that changed it."""
    different = {subject for kind, subject, *_ in changes if kind in KINDS}
    for state in states:
        if state.stripe_subscription_id in different:
            outbox.announce(organization, outbox.SUBSCRIPTION, _told(organization, state))


def _told(organization: Organization, state: SubscriptionState) -> dict[str, Any]:
    return {
        "organization_id": organization.pk,
        "plan": state.plan,
        "interval": state.interval,
        "status": state.status,
        "current_period_start": state.current_period_start,
        "current_period_end": state.current_period_end,
        "trial_end": state.trial_end,
        "cancel_at": state.cancel_at,
        "grace_until": state.grace_until,
    }
