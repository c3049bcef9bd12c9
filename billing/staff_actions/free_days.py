"""Free days: extend a trial, or postpone the next payment of a paid subscription.

Stripe does both by moving the end of the trial (https://docs.stripe.com/billing/subscriptions/trials#extend-trial). A paid subscription is
"trialing" until then, keeps its plan and its usage months, and pays for a full period afterwards.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.models import Organization
from billing.documents.stripe_documents import at
from billing.errors import TrialNotExtendable
from billing.models import SubscriptionState
from billing.stripe.gateway import subscriptions
from billing.subscriptions.resolve_plan_change import CHANGEABLE, require_active_subscription
from contextmcp.common.clock import now

from .execute import StaffRequest, execute, parameters_of

MAX_DAYS = 365


def next_payment_at(state: SubscriptionState) -> datetime:
    """Return the time of the next payment. Raises `TrialNotExtendable` if the subscription's state does not allow free days."""
    paid_until = state.trial_end if state.status == "trialing" else state.current_period_end
    if state.status not in CHANGEABLE or paid_until is None or state.pending_change:
        raise TrialNotExtendable
    return max(paid_until, now(state.organization))


def give_free_days(organization: Organization, days: int, request: StaffRequest) -> datetime:
    """Postpone the next payment by `days`. Return its new date. Raises `NoSubscription`, `TrialNotExtendable`."""

    def prepare() -> dict[str, Any]:
        state = require_active_subscription(organization)
        before = next_payment_at(state)
        return {
            "subscription": state.stripe_subscription_id,
            "customer": state.stripe_customer_id,
            "days": days,
            "status": state.status,
            "next_payment_at": int(before.timestamp()),
            "trial_end": int((before + timedelta(days=days)).timestamp()),
        }

    parameters = parameters_of(organization, request, "free_days", prepare)

    def change(key: UUID) -> dict[str, Any]:
        options = {"trial_end": parameters["trial_end"], "proration_behavior": "none"}
        document = subscriptions.update(parameters["subscription"], key=key, **options)
        before, after = at(parameters["next_payment_at"]).isoformat(), at(document["trial_end"]).isoformat()
        return {
            "target": parameters["subscription"],
            "before": {"status": parameters["status"], "next_payment_at": before},
            "after": {"status": document["status"], "next_payment_at": after, "days": parameters["days"]},
        }

    execute(organization, request, "free_days", parameters, change)
    return at(parameters["trial_end"])
