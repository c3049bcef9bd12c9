"""Banners on the account pages about payments, plan changes and usage."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from django.urls import reverse
from django.utils.translation import gettext as _

from billing.types import DunningState, OverLimit, Subscription
from contextmcp.common.clock import now
from contextmcp.common.formatting import format_day, format_number
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG
from usage.models import UsageAlert
from usage.selectors import FeatureUsage

from .organization_state import OrganizationState, Overage

TRIAL_WARNING = timedelta(days=3)
OVERAGE_WARNING_SHARE = 0.5


@dataclass(frozen=True)
class Banner:
    """A message with an action. `link` and `action` are empty for members who cannot manage billing.

    With `on_billing` the billing page shows the same in its own words, and not the banner.
    """

    tone: Literal["info", "warning", "danger"]
    text: str
    link: str = ""
    action: str = ""
    on_billing: bool = False


def banners(state: OrganizationState) -> list[Banner]:
    """Return the banners for a member, most urgent first."""
    subscription = state.subscription
    about_plan = [
        _payment_banner(subscription, state.dunning, state.entitlements.lapsed_plan),
        _subscription_banner(subscription, now(state.organization)),
        *(_over_limit_banner(over_limit) for over_limit in subscription.over_limits),
    ]
    candidates: list[Banner | None] = [replace(banner, on_billing=True) for banner in about_plan if banner]
    candidates += [_spike_banner(alert) for alert in state.alerts.spikes[:1]]
    thresholds = state.alerts.thresholds
    candidates += [_usage_banner(feature_usage, thresholds.get(feature_usage.feature, 0), state.overage) for feature_usage in state.usage]
    can_pay = "billing:manage" in state.caller.permissions
    return [banner if can_pay else replace(banner, link="", action="") for banner in candidates if banner]


def _payment_banner(state: Subscription, dunning: DunningState | None, lapsed_plan: str | None) -> Banner | None:
    billing = reverse("billing")
    link = (dunning.invoice_url if dunning else state.invoice_url) or billing
    if dunning and dunning.stage != "over":
        return Banner("danger", _failed_payment(dunning), link, _("Pay now"))
    if lapsed_plan:
        text = _("A payment failed, so your %(plan)s plan is paused. Nothing was deleted.") % {"plan": CATALOG.plan_title(lapsed_plan)}
        return Banner("danger", text, link, _("Pay now"))
    if state.pending_change and state.pending_change.url:
        text = _("Confirm the payment for your plan change by %(date)s.") % {"date": format_day(state.pending_change.expires_at)}
        return Banner("warning", text, state.pending_change.url, _("Confirm payment"))
    if state.collection_pause:
        return _pause_banner(state.collection_pause.resumes_at)
    if state.status == "incomplete":
        return Banner("warning", _("Your payment is not complete yet."), link, _("Complete payment"))
    return _paused_banner() if state.status == "paused" else None


def _failed_payment(dunning: DunningState) -> str:
    terms = {"date": format_day(dunning.until)}
    if not dunning.amount or not dunning.currency:
        return _("A payment failed. Your plan stays active until %(date)s.") % terms
    terms["amount"] = format_amount(dunning.amount, dunning.currency)
    return _("A payment of %(amount)s failed. Your plan stays active until %(date)s.") % terms


def _paused_banner() -> Banner:
    text = _("Your subscription is paused. Add a payment method, then resume it.")
    return Banner("warning", text, reverse("billing"), _("View billing"))


def _pause_banner(until: datetime | None) -> Banner:
    if until is None:
        text = _("Payments for your plan are paused. Your plan stays active.")
    else:
        text = _("Payments for your plan are paused. Your plan stays active. Payments resume on %(date)s.") % {"date": format_day(until)}
    return Banner("info", text, reverse("billing"), _("View billing"))


def _subscription_banner(state: Subscription, present: datetime) -> Banner | None:
    link = reverse("billing")
    if state.is_live and state.cancel_at:
        text = _("Your subscription is canceled. You have access until %(date)s.") % {"date": format_day(state.cancel_at)}
        return Banner("warning", text, link, _("Resume subscription"))
    if state.upcoming_change and state.upcoming_change.kind == "plan":
        terms = {"plan": CATALOG.plan_title(state.upcoming_change.plan), "date": format_day(state.upcoming_change.at)}
        return Banner("info", _("Your plan will change to %(plan)s on %(date)s.") % terms, link, _("View change"))
    if state.status == "trialing" and state.trial_end and state.trial_end - present <= TRIAL_WARNING:
        end = {"date": format_day(state.trial_end)}
        if state.has_free_days:
            text = _("Your free period ends on %(date)s, and your next payment is due then.") % end
        elif state.payment_method is None:
            text = _("Your trial ends on %(date)s. Add a payment method to keep your plan.") % end
        else:
            text = _("Your trial ends on %(date)s.") % end
        return Banner("info", text, link, _("View billing"))
    return None


def _over_limit_banner(over_limit: OverLimit) -> Banner:
    terms = {
        "used": format_number(over_limit.used),
        "limit": format_number(over_limit.limit),
        "feature": CATALOG.noun(over_limit.feature, over_limit.used),
    }
    text = _(
        "You have %(used)s %(feature)s; your plan includes %(limit)s. Nothing was deleted. Items over the limit are read-only until you "
        "remove some or upgrade."
    )
    return Banner("warning", text % terms, reverse("pricing"), _("See plans"))


def _spike_banner(alert: UsageAlert) -> Banner:
    terms = {"used": format_number(alert.used), "feature": CATALOG.noun(alert.feature, alert.used), "date": format_day(alert.occurred_at)}
    if alert.baseline is None:
        text = _("Usage is unusually high: %(used)s %(feature)s in one hour. Check which API key caused this. Detected on %(date)s.")
    else:
        terms["average"] = format_number(round(alert.baseline))
        text = _(
            "Usage is unusually high: %(used)s %(feature)s in one hour, compared with an average of %(average)s. "
            "Check which API key caused this. Detected on %(date)s."
        )
    by_key = f"{reverse('usage')}?feature={alert.feature}&by=key&period=week"
    return Banner("warning", text % terms, by_key, _("View usage by key"))


def _usage_banner(feature_usage: FeatureUsage, threshold: int, overage: Overage | None) -> Banner | None:
    """Return a banner about used quota or gauges. Features over their limit have a banner from `_over_limit_banner`."""
    used, included = feature_usage.used, feature_usage.included
    if not included or used is None:
        return None
    if feature_usage.resets_at is not None:
        return _quota_banner(feature_usage, used, included, feature_usage.resets_at, overage)
    # The banner of a gauge is shown while the usage is at or above the threshold of the last alert.
    if threshold and threshold * included <= used * 100 <= 100 * included:
        terms = {"used": format_number(used), "included": format_number(included), "feature": CATALOG.noun(feature_usage.feature)}
        text = _("%(used)s of %(included)s %(feature)s are in use.") % terms
        return Banner("info", text, reverse("pricing"), _("Upgrade"))
    return None


def _quota_banner(feature_usage: FeatureUsage, used: int, included: int, at: datetime, overage: Overage | None) -> Banner | None:
    """Return a banner from 50 % of the quota. It offers to enable or manage overage if the plan has it."""
    if used < OVERAGE_WARNING_SHARE * included:
        return None
    terms = {
        "used": format_number(used),
        "included": format_number(included),
        "feature": CATALOG.noun(feature_usage.feature),
        "date": format_day(at),
    }
    if used < included:
        text = _("You've used %(used)s of %(included)s %(feature)s. Your quota resets on %(date)s.") % terms
        return Banner("info", text, reverse("pricing"), _("Upgrade"))
    text = _("You've used all %(included)s %(feature)s. Your quota resets on %(date)s.") % terms
    if overage is None or overage.state.feature != feature_usage.feature or (overage.blocked and not overage.state.enabled):
        return Banner("warning", text, reverse("pricing"), _("Upgrade"))
    if overage.state.enabled:
        return _overage_banner(overage, at)
    return Banner("warning", text, f"{reverse('billing')}#overage", _("Turn on Pay-as-you-go"))


def _overage_banner(overage: Overage, at: datetime) -> Banner:
    sold, link = overage.state, f"{reverse('billing')}#overage"
    terms = {
        "spent": format_amount(overage.spent, sold.currency),
        "limit": format_amount(sold.cap or 0, sold.currency),
        "feature": CATALOG.noun(sold.feature),
        "date": format_day(at),
    }
    if overage.cap_reached:
        text = _(
            "You have reached your monthly limit: %(spent)s of %(limit)s. Further %(feature)s are refused. Your quota resets on %(date)s."
        )
        return Banner("danger", text % terms, link, _("Raise the limit"), on_billing=True)
    terms |= {"units": format_number(overage.units), "unit": CATALOG.noun(sold.feature, overage.units)}
    text = _(
        "You've used all included %(feature)s. Pay-as-you-go so far: %(units)s %(unit)s, %(spent)s of your limit of %(limit)s. Your quota "
        "resets on %(date)s."
    )
    return Banner("info", text % terms, link, _("Manage Pay-as-you-go"), on_billing=True)
