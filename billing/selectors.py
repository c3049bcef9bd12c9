"""Reads the subscription of an organization from local tables, without calls to Stripe."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from accounts.models import Organization
from billing import over_limit, payment_methods, trials
from billing.documents.stripe_documents import at
from billing.models import BillingAccount, BillingAction, Invoice, SubscriptionState
from billing.types import CollectionPause, DunningState, OverageState, PaymentMethod, PendingChange, Subscription, UpcomingChange
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from entitlements.types import Entitlements, FeatureEntitlement
from usage import selectors

from .amounts import after_discounts, estimated_total


def current_subscription(organization: Organization) -> SubscriptionState | None:
    """Return the organization's relevant subscription (see `relevant_subscription`), or None if it has none."""
    return relevant_subscription(_states(organization))


def _states(organization: Organization) -> list[SubscriptionState]:
    return list(organization.subscriptions.select_related("plan_version"))


def relevant_subscription(states: list[SubscriptionState]) -> SubscriptionState | None:
    """Return a live subscription, preferably with a known plan; otherwise the first one (the newest). None if there is none."""
    live = [state for state in states if state.is_live and state.status != "incomplete"]
    known = [state for state in live if state.plan_version]
    return next(iter(known or live or states), None)


def subscription_summary(organization: Organization, usage: list[selectors.FeatureUsage] | None = None) -> Subscription:
    """Return the subscription for the account page and the API. `usage` avoids a second query if the caller has read it."""
    account = BillingAccount.objects.filter(organization=organization).first()
    states = _states(organization)
    state = relevant_subscription(states)
    plan = EntitlementsManager(organization).entitlements()
    shared: dict[str, Any] = {
        "plan": plan.plan,
        "plan_version": plan.plan_version,
        "trial_available": trials.is_available_after(organization, account, states),
        "payment_method": _card(account),
        "synced_at": account.synced_at if account else None,
        "over_limits": over_limit.current_over_limits(organization, usage),
        "overage": overage_state(organization),
    }
    if state is None:
        return Subscription(status="none", **shared)
    return Subscription(
        status=state.status,
        interval=state.interval or None,
        amount=state.amount,
        quantity=state.quantity,
        discounted_amount=estimated_total(state, state.current_period_end),
        currency=state.currency,
        current_period_start=state.current_period_start,
        current_period_end=state.current_period_end,
        trial_end=state.trial_end,
        has_free_days=state.status == "trialing" and not state.on_first_trial,
        cancel_at=state.cancel_at if state.is_live else None,
        canceled_at=state.canceled_at,
        ended_at=state.ended_at,
        past_due_since=state.past_due_since if state.is_live else None,
        grace_until=state.grace_until if state.is_live else None,
        subscribed_plan=state.plan,
        invoice_url=_invoice_url(state),
        collection_pause=_collection_pause(state),
        upcoming_change=upcoming_change(state),
        pending_change=pending_change(state),
        discounts=tuple(state.discounts),
        **shared,
    )


def _card(account: BillingAccount | None) -> PaymentMethod | None:
    return payment_methods.from_row(account.payment_method) if account and account.payment_method else None


def overage_state(organization: Organization, entitlements: Entitlements | None = None) -> OverageState | None:
    """Return the overage state of the feature for which the plan offers overage; None if it offers none.

    `entitlements` are those of the organization, if the caller has read them.
    """
    for entitlement in (entitlements or EntitlementsManager(organization).entitlements()).features.values():
        if entitlement.overage_unit_amount is not None and entitlement.overage_currency is not None:
            setting = selectors.overage_setting(organization, entitlement.feature)
            enabled = bool(setting and setting.enabled)
            cap = setting.cap_minor if setting and enabled else None
            unit_amount, currency = entitlement.overage_unit_amount, entitlement.overage_currency
            return OverageState(entitlement.feature, enabled, cap, unit_amount, currency, _max_per_invoice(organization, entitlement, cap))
    return None


def _max_per_invoice(organization: Organization, entitlement: FeatureEntitlement, cap: int | None) -> int | None:
    """Return the maximum overage on one invoice, in minor units.

    Stripe bills the metered item in months from the billing cycle anchor, which a change of interval resets (ADR-005). Usage months keep
    their anchor, so that a change does not reset the quota. After such a change each invoice covers parts of two usage months.
    """
    if cap is None:
        return None
    state = current_subscription(organization)
    start = state.current_period_start if state else None
    return cap if start is None or entitlement.period(start).start == start else 2 * cap


def upcoming_change(state: SubscriptionState) -> UpcomingChange | None:
    """Return the scheduled cancellation or plan change; None if there is none."""
    change = state.upcoming_change
    if state.is_live and state.cancel_at:
        return UpcomingChange("cancellation", state.cancel_at, CATALOG.free.name)
    if not change:
        return None
    when, amount = at(change["at"]), change["amount"]
    discounted = after_discounts(amount, state.discounts, state.currency, when)
    return UpcomingChange("plan", when, change["plan"], change["interval"], amount, discounted)


def pending_change(state: SubscriptionState) -> PendingChange | None:
    """Return the plan change that waits for payment confirmation; None if there is none."""
    change = state.pending_change
    if not change or not state.is_live:
        return None
    fields = {name: change[name] for name in ("plan", "interval", "amount", "url")}
    return PendingChange(**fields, currency=state.currency, expires_at=at(change["expires_at"]))


def dunning_state(organization: Organization) -> DunningState | None:
    """Return the missing payment and the stage of its grace period; None if no payment is missing."""
    state = current_subscription(organization)
    if state is None or state.past_due_since is None or state.grace_until is None or not state.is_live:
        return None
    invoice = invoice_to_pay(state)
    return DunningState(
        # Stripe may stop retrying before the grace period ends. An unpaid subscription does not entitle, so its stage is "over".
        stage="over" if state.status == "unpaid" else _dunning_stage(state.past_due_since, state.grace_until, now(organization)),
        since=state.past_due_since,
        until=state.grace_until,
        amount=invoice.amount_remaining if invoice else None,
        currency=invoice.currency if invoice else None,
        invoice_url=invoice.hosted_url if invoice else "",
    )


def invoice_to_pay(state: SubscriptionState) -> Invoice | None:
    """Return the newest open invoice, whose payment makes the subscription active again; None without one."""
    invoices = Invoice.objects.filter(stripe_subscription_id=state.stripe_subscription_id, status="open", amount_remaining__gt=0)
    return invoices.order_by("-created_at", "-id").first()


def _invoice_url(state: SubscriptionState) -> str | None:
    invoice = invoice_to_pay(state) if state.status in ("past_due", "unpaid", "incomplete") else None
    return (invoice.hosted_url or None) if invoice else None


def is_paused_by_customer(state: SubscriptionState) -> bool:
    """Return whether an owner, and not staff, chose the pause of a subscription whose collection is paused."""
    if state.collection_resumes_at is None:
        return False
    pause = {"subscription": state.stripe_subscription_id, "resumes_at": int(state.collection_resumes_at.timestamp())}
    actions = BillingAction.objects.filter(organization=state.organization_id, kind="pause_payments", state__in=("pending", "done"))
    return actions.filter(parameters=pause).exists()


def _collection_pause(state: SubscriptionState) -> CollectionPause | None:
    if not state.is_live or not state.collection_paused:
        return None
    return CollectionPause(state.collection_paused, state.collection_resumes_at, is_paused_by_customer(state))


def _dunning_stage(since: datetime, until: datetime, current_time: datetime) -> str:
    if current_time >= until:
        return "over"
    if current_time >= until - timedelta(days=1):
        return "last_day"
    return "halfway" if current_time >= since + (until - since) / 2 else "started"
