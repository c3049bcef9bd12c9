"""What a member should know before anything else: money, then time, then use."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.urls import reverse

from accounts.types import Caller
from billing.manager import BillingManager
from billing.types import Subscription
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from usage.selectors import Standing
from usage.tracker import UsageTracker

SOON = timedelta(days=3)


@dataclass(frozen=True)
class Banner:
    """`link` and `act` are empty for members who cannot do anything about it."""

    tone: Literal["info", "warning", "danger"]
    text: str
    at: datetime | None = None
    link: str = ""
    act: str = ""


def banners(me: Caller) -> list[Banner]:
    """The most urgent first."""
    organization = me.organization
    state = BillingManager(organization).subscription()
    present = now(organization)
    found = [_money(state, EntitlementsManager(organization).entitlements().owing), _time(state, present)]
    found += [_use(standing) for standing in UsageTracker(organization).current().usage]
    pays = "billing:manage" in me.permissions
    return [one if pays else Banner(one.tone, one.text, one.at) for one in found if one]


def _money(state: Subscription, owing: str | None) -> Banner | None:
    billing = reverse("billing")
    if state.grace_until and state.is_live and state.past_due_since:
        return Banner("danger", "A payment failed. Your plan goes on until", state.grace_until, billing, "Update the payment method")
    if owing:
        text = f"A payment failed and {owing.capitalize()} is on hold. Nothing was deleted."
        return Banner("danger", text, None, billing, "Update the payment method")
    if state.status == "incomplete":
        return Banner("warning", "Your payment is not complete yet.", None, billing, "Complete it")
    return None


def _time(state: Subscription, present: datetime) -> Banner | None:
    billing = reverse("billing")
    if state.is_live and state.cancel_at:
        return Banner("warning", "Your plan was cancelled and ends on", state.cancel_at, billing, "Keep it")
    if state.status == "trialing" and state.trial_end and state.trial_end - present <= SOON:
        return Banner("info", "Your trial ends on", state.trial_end, billing, "See what happens then")
    return None


def _use(standing: Standing) -> Banner | None:
    used, included, at = standing.used, standing.included, standing.resets_at
    if not included or used is None:
        return None
    name = standing.feature.replace("_", " ")
    if at is None:
        if used <= included:
            return None
        text = f"You have {used:,} {name}; your plan includes {included:,}. Nothing was deleted: what is over is read-only."
        return Banner("warning", text, None, reverse("pricing"), "See plans")
    if used >= included:
        return Banner(
            "warning", f"All {included:,} {name} of this period are used. They start afresh on", at, reverse("pricing"), "Get more"
        )
    if used >= 0.8 * included:
        return Banner("info", f"{used:,} of {included:,} {name} are used. They start afresh on", at, reverse("pricing"), "Get more")
    return None
