"""Banners on the account pages about payments, plan changes and usage."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.urls import reverse

from billing.types import DunningState, OverLimit, Subscription
from contextmcp.common.clock import now
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG
from usage.models import UsageAlert
from usage.selectors import FeatureUsage

from .organization_state import OrganizationState, Overage

TRIAL_WARNING = timedelta(days=3)
OVERAGE_WARNING_SHARE = 0.5


@dataclass(frozen=True)
class Banner:
    """A message with an optional time and action. `link` and `action` are empty for members who cannot manage billing."""

    tone: Literal["info", "warning", "danger"]
    text: str
    at: datetime | None = None
    link: str = ""
    action: str = ""


def banners(state: OrganizationState) -> list[Banner]:
    """Return the banners for a member, most urgent first."""
    subscription = state.subscription
    candidates = [
        _payment_banner(subscription, state.dunning, state.entitlements.lapsed_plan),
        _subscription_banner(subscription, now(state.organization)),
    ]
    candidates += [_over_limit_banner(over_limit) for over_limit in subscription.over_limits]
    candidates += [_spike_banner(alert) for alert in state.alerts.spikes[:1]]
    thresholds = state.alerts.thresholds
    candidates += [_usage_banner(feature_usage, thresholds.get(feature_usage.feature, 0), state.overage) for feature_usage in state.usage]
    can_pay = "billing:manage" in state.caller.permissions
    return [banner if can_pay else Banner(banner.tone, banner.text, banner.at) for banner in candidates if banner]


def _payment_banner(state: Subscription, dunning: DunningState | None, lapsed_plan: str | None) -> Banner | None:
    link = dunning.invoice_url if dunning and dunning.invoice_url else reverse("billing")
    if dunning and dunning.stage != "over":
        owed = f" of {format_amount(dunning.amount, dunning.currency)}" if dunning.amount and dunning.currency else ""
        return Banner("danger", f"A payment{owed} failed. Your plan stays active until", dunning.until, link, "Pay now")
    if lapsed_plan:
        return Banner(
            "danger",
            f"A payment failed, so your {CATALOG.plan_title(lapsed_plan)} plan is paused. Nothing was deleted.",
            None,
            link,
            "Pay now",
        )
    if state.pending_change and state.pending_change.url:
        text = "Confirm the payment for your plan change by"
        return Banner("warning", text, state.pending_change.expires_at, state.pending_change.url, "Confirm payment")
    if state.collection_pause:
        until = state.collection_pause.resumes_at
        text = "Payments for your plan are paused. Your plan stays active." + (" Payments resume on" if until else "")
        return Banner("info", text, until, reverse("billing"), "View billing")
    if state.status == "incomplete":
        return Banner("warning", "Your payment is not complete yet.", None, link, "Complete payment")
    return None


def _subscription_banner(state: Subscription, present: datetime) -> Banner | None:
    link = reverse("billing")
    if state.is_live and state.cancel_at:
        return Banner("warning", "Your subscription is canceled. You have access until", state.cancel_at, link, "Resume subscription")
    if state.upcoming_change and state.upcoming_change.kind == "plan":
        plan = CATALOG.plan_title(state.upcoming_change.plan)
        return Banner("info", f"Your plan will change to {plan} on", state.upcoming_change.at, link, "View change")
    if state.status == "trialing" and state.trial_end and state.trial_end - present <= TRIAL_WARNING:
        text = "Your free period ends, and your next payment is due, on" if state.has_free_days else "Your trial ends on"
        return Banner("info", text, state.trial_end, link, "View billing")
    return None


def _over_limit_banner(over_limit: OverLimit) -> Banner:
    text = (
        f"You have {over_limit.used:,} {CATALOG.noun(over_limit.feature, over_limit.used)}; your plan includes {over_limit.limit:,}. "
        "Nothing was deleted. Items over the limit are read-only until you remove some or upgrade."
    )
    return Banner("warning", text, None, reverse("pricing"), "See plans")


def _spike_banner(alert: UsageAlert) -> Banner:
    comparison = f", compared with an average of {alert.baseline:,.0f}" if alert.baseline is not None else ""
    amount = f"{alert.used:,} {CATALOG.noun(alert.feature, alert.used)}"
    text = f"Usage is unusually high: {amount} in one hour{comparison}. Check which API key caused this."
    by_key = f"{reverse('usage')}?feature={alert.feature}&by=key&period=week"
    return Banner("warning", f"{text} Detected on", alert.occurred_at, by_key, "View usage by key")


def _usage_banner(feature_usage: FeatureUsage, threshold: int, overage: Overage | None) -> Banner | None:
    """Return a banner about used quota or gauges. Features over their limit have a banner from `_over_limit_banner`."""
    used, included = feature_usage.used, feature_usage.included
    if not included or used is None:
        return None
    if feature_usage.resets_at is not None:
        return _quota_banner(feature_usage, used, included, feature_usage.resets_at, overage)
    # The banner of a gauge is shown while the usage is at or above the threshold of the last alert.
    if threshold and threshold * included <= used * 100 <= 100 * included:
        return Banner(
            "info", f"{used:,} of {included:,} {CATALOG.noun(feature_usage.feature)} are in use.", None, reverse("pricing"), "Upgrade"
        )
    return None


def _quota_banner(feature_usage: FeatureUsage, used: int, included: int, at: datetime, overage: Overage | None) -> Banner | None:
    """Return a banner from 50 % of the quota. It offers to enable or manage overage if the plan has it."""
    name = CATALOG.noun(feature_usage.feature)
    if used < OVERAGE_WARNING_SHARE * included:
        return None
    if used < included:
        return Banner("info", f"You've used {used:,} of {included:,} {name}. Your quota resets on", at, reverse("pricing"), "Upgrade")
    text = f"You've used all {included:,} {name}. Your quota resets on"
    if overage is None or overage.state.feature != feature_usage.feature or (overage.blocked and not overage.state.enabled):
        return Banner("warning", text, at, reverse("pricing"), "Upgrade")
    if overage.state.enabled:
        return _overage_banner(overage, at)
    return Banner("warning", text, at, f"{reverse('billing')}#overage", "Enable overage")


def _overage_banner(overage: Overage, at: datetime) -> Banner:
    sold, link = overage.state, f"{reverse('billing')}#overage"
    spent, cap = format_amount(overage.spent, sold.currency), format_amount(sold.cap or 0, sold.currency)
    name = CATALOG.noun(sold.feature)
    if overage.cap_reached:
        text = f"You have reached your spending cap: {spent} of {cap}. Further {name} will be refused. Your quota resets on"
        return Banner("danger", text, at, link, "Raise the cap")
    amount = f"{overage.units:,} {CATALOG.noun(sold.feature, overage.units)}"
    text = f"You've used all included {name}. Overage so far: {amount}, {spent} of your {cap} spending cap. Your quota resets on"
    return Banner("info", text, at, link, "Manage overage")
