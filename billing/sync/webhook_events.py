"""Outgoing webhook events about subscriptions."""

from collections.abc import Iterable, Sequence
from typing import Any

from accounts.models import Organization
from billing.models import SubscriptionState
from usage.webhooks import outbox

# Changes that are published to customers. Other columns are internal to billing.
PUBLISHED_FIELDS = ("missing", "status", "plan_version_id", "interval", "cancel_at", "upcoming_change", "grace_until", "collection_paused")
KINDS = frozenset(f"subscriptionstate_{name}" for name in PUBLISHED_FIELDS)


def subscription_changed(
    organization: Organization, states: Iterable[SubscriptionState], changes: Sequence[tuple[str, str, Any, Any]]
) -> None:
    """Queue a `subscription.changed` event for each subscription with a published change, in the current transaction."""
    changed = {subject for kind, subject, *_ in changes if kind in KINDS}
    for state in states:
        if state.stripe_subscription_id in changed:
            outbox.enqueue_for_subscribers(organization, outbox.SUBSCRIPTION, _payload(organization, state))


def _payload(organization: Organization, state: SubscriptionState) -> dict[str, Any]:
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
