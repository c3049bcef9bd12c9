"""Pauses that owners choose instead of canceling, if the operator offers them (`BILLING_PAUSE_PAYMENTS`, ADR-011).

A pause skips a number of monthly payments. It is a pause of payment collection at Stripe, whose invoices are voided: the plan stays active.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils.translation import gettext_noop as _

from accounts.models import Organization
from billing.customer_locks import serialized
from billing.errors import NothingToChange, PauseNotOffered
from billing.idempotent_actions import Actor, idempotent_action
from billing.models import BillingAction, SubscriptionState
from billing.overage import reporting
from billing.selectors import current_subscription, is_paused_by_customer, overage_state
from billing.stripe.gateway import subscriptions
from billing.sync.customer import sync_customer
from billing.types import PauseOffer
from contextmcp.common.clock import now
from entitlements.periods import add_months

from .resolve_plan_change import checked_after_refusal, require_active_subscription

# An owner can pause once in this time.
PAUSE_INTERVAL = timedelta(days=365)
# Collection resumes before the first payment that is collected again.
MARGIN = timedelta(days=1)


def pause_offer(organization: Organization) -> PauseOffer | None:
    """Return the pause that an owner can choose now; None if none is offered."""
    state = current_subscription(organization)
    return _offer(organization, state) if settings.BILLING_PAUSE_PAYMENTS and state is not None else None


def _offer(organization: Organization, state: SubscriptionState) -> PauseOffer | None:
    # With yearly billing, the skipped payment could be that of a whole year.
    if state.status != "active" or state.interval != "month" or state.current_period_end is None:
        return None
    if state.cancel_at or state.collection_paused or state.schedule_id or state.pending_change or state.past_due_since:
        return None
    overage = overage_state(organization)
    if (overage and overage.enabled) or reporting.has_unbilled_usage(organization):
        return None  # Overage is on the invoices that a pause voids.
    recent = BillingAction.objects.filter(organization=organization, kind="pause_payments", state=BillingAction.State.DONE)
    if recent.filter(finished_at__gt=now() - PAUSE_INTERVAL).exists():
        return None
    payments = settings.BILLING_PAUSE_PAYMENTS
    next_payment_at = add_months(state.current_period_end, payments)
    return PauseOffer(payments, next_payment_at - MARGIN, next_payment_at)


def pause_payments(organization: Organization, actor: Actor) -> None:
    """Skip the offered payments. Raises `NoSubscription`, `PauseNotOffered`."""
    with serialized(organization.pk):
        sync_customer(require_active_subscription(organization).stripe_customer_id)
        state = require_active_subscription(organization)
        offer = pause_offer(organization)
        if offer is None:
            raise PauseNotOffered
        resumes_at = int(offer.resumes_at.timestamp())
        parameters = {"subscription": state.stripe_subscription_id, "resumes_at": resumes_at}
        with checked_after_refusal(state), idempotent_action(organization, "pause_payments", actor, **parameters) as row:
            pause = {"behavior": "void", "resumes_at": resumes_at}
            subscriptions.update(state.stripe_subscription_id, key=row.pk, pause_collection=pause)
        sync_customer(state.stripe_customer_id)


def resume_payments(organization: Organization, actor: Actor) -> None:
    """End a pause that an owner chose. Raises `NoSubscription`, `NothingToChange`."""
    with serialized(organization.pk):
        sync_customer(require_active_subscription(organization).stripe_customer_id)
        state = require_active_subscription(organization)
        if not state.collection_paused or not is_paused_by_customer(state):
            raise NothingToChange(_("Payments are not paused."))
        parameters = {"subscription": state.stripe_subscription_id}
        with checked_after_refusal(state), idempotent_action(organization, "resume_payments", actor, **parameters) as row:
            subscriptions.update(state.stripe_subscription_id, key=row.pk, pause_collection="")
        sync_customer(state.stripe_customer_id)
