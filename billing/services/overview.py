"""What an organization has, from our own tables alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from accounts.models import Organization
from billing.models import BillingAccount, SubscriptionState
from billing.types import DunningState, OverageState, PaymentMethod, Subscription, UpcomingChange
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from usage import selectors

from . import limits
from .projection import at


def current(organization: Organization) -> SubscriptionState | None:
    """Return the subscription that counts: a live one before one that is over, one for a known plan before any other, then the newest."""
    states = list(organization.subscriptions.select_related("plan_version"))
    live = [state for state in states if state.is_live and state.status != "incomplete"]
    known = [state for state in live if state.plan_version]
    return next(iter(known or live or states), None)


def subscription(organization: Organization) -> Subscription:
    account = BillingAccount.objects.filter(organization=organization).first()
    state = current(organization)
    plan = EntitlementsManager(organization).entitlements()
    shared: dict[str, Any] = {
        "plan": plan.plan,
        "plan_version": plan.plan_version,
        "trial_available": account is None or account.trial_used_at is None,
        "payment_method": _card(account),
        "synced_at": account.synced_at if account else None,
        "over_limits": limits.over_now(organization),
        "overage": overage_state(organization),
    }
    if state is None:
        return Subscription(status="none", **shared)
    return Subscription(
        status=state.status,
        interval=state.interval or None,
        amount=state.unit_amount,
        currency=state.currency,
        current_period_start=state.current_period_start,
        current_period_end=state.current_period_end,
        trial_end=state.trial_end,
        cancel_at=state.cancel_at if state.is_live else None,
        canceled_at=state.canceled_at,
        ended_at=state.ended_at,
        past_due_since=state.past_due_since if state.is_live else None,
        grace_until=state.grace_until if state.is_live else None,
        upcoming_change=upcoming(state),
        discounts=tuple(state.discounts),
        **shared,
    )


def _card(account: BillingAccount | None) -> PaymentMethod | None:
    if account is None or not account.payment_method:
        return None
    return PaymentMethod(**{name: value for name, value in account.payment_method.items() if name != "id"})


def overage_state(organization: Organization) -> OverageState | None:
    """Of the feature that the plan sells beyond its allowance; None where it sells none."""
    for allowance in EntitlementsManager(organization).entitlements().allowances.values():
        if allowance.overage_unit_amount is not None and allowance.overage_currency is not None:
            setting = selectors.overage_setting(organization, allowance.feature)
            enabled = bool(setting and setting.enabled)
            cap = setting.cap_minor if setting and enabled else None
            return OverageState(allowance.feature, enabled, cap, allowance.overage_unit_amount, allowance.overage_currency)
    return None


def upcoming(state: SubscriptionState) -> UpcomingChange | None:
    """The next thing that happens by itself: a cancellation, or the plan that a schedule changes to."""
    change = state.upcoming_change
    if state.is_live and state.cancel_at:
        return UpcomingChange("cancellation", state.cancel_at, "free")
    if not change:
        return None
    return UpcomingChange("plan", at(change["at"]), change["plan"], change["interval"], change["amount"])


def dunning(organization: Organization) -> DunningState | None:
    """For the banner: whether a payment is missing, and how far its grace has run."""
    state = current(organization)
    if state is None or state.past_due_since is None or state.grace_until is None or not state.is_live:
        return None
    owed = organization.invoices.filter(stripe_subscription_id=state.stripe_subscription_id, status="open", amount_remaining__gt=0).first()
    return DunningState(
        stage=_stage(state.past_due_since, state.grace_until, now(organization)),
        since=state.past_due_since,
        until=state.grace_until,
        amount=owed.amount_remaining if owed else None,
        currency=owed.currency if owed else None,
        invoice_url=owed.hosted_url if owed else "",
    )


def _stage(since: datetime, until: datetime, present: datetime) -> str:
    if present >= until:
        return "over"
    if present >= until - timedelta(days=1):
        return "last_day"
    return "halfway" if present >= since + (until - since) / 2 else "started"
