"""What a member should know before anything else: money, then time, then use."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.urls import reverse

from accounts.types import Caller
from billing.manager import BillingManager
from billing.types import DunningState, OverLimit, Subscription
from contextmcp.common.clock import now
from contextmcp.common.money import format_amount
from entitlements.manager import EntitlementsManager
from usage.alerts import selectors as alerts
from usage.models import UsageAlert
from usage.selectors import Standing
from usage.tracker import UsageTracker

SOON = timedelta(days=3)
HALF = 0.5


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
    billing = BillingManager(organization)
    state = billing.subscription()
    owing = EntitlementsManager(organization).entitlements().owing
    found = [_money(state, billing.dunning(), owing), _time(state, now(organization))]
    found += [_over(one) for one in billing.over_limits()]
    found += [_spike(alert) for alert in alerts.recent_spikes(organization)[:1]]
    reached = alerts.reached(organization)
    found += [_used(standing, reached.get(standing.feature, 0)) for standing in UsageTracker(organization).current().usage]
    pays = "billing:manage" in me.permissions
    return [one if pays else Banner(one.tone, one.text, one.at) for one in found if one]


def _money(state: Subscription, dunning: DunningState | None, owing: str | None) -> Banner | None:
    link = dunning.invoice_url if dunning and dunning.invoice_url else reverse("billing")
    if dunning and dunning.stage != "over":
        owed = f" of {format_amount(dunning.amount, dunning.currency)}" if dunning.amount and dunning.currency else ""
        return Banner("danger", f"A payment{owed} failed. Your plan goes on until", dunning.until, link, "Pay now")
    if owing:
        return Banner("danger", f"A payment failed, so {owing.capitalize()} is on hold. Nothing was deleted.", None, link, "Pay now")
    if state.status == "incomplete":
        return Banner("warning", "Your payment is not complete yet.", None, link, "Complete it")
    return None


def _time(state: Subscription, present: datetime) -> Banner | None:
    link = reverse("billing")
    if state.is_live and state.cancel_at:
        return Banner("warning", "Your plan was cancelled and ends on", state.cancel_at, link, "Keep it")
    if state.status == "trialing" and state.trial_end and state.trial_end - present <= SOON:
        return Banner("info", "Your trial ends on", state.trial_end, link, "See what happens then")
    return None


def _over(one: OverLimit) -> Banner:
    text = (
        f"You have {one.used:,} {_spaced(one.feature)}; your plan includes {one.limit:,}. Nothing was deleted: what is over is read-only."
    )
    return Banner("warning", text, None, reverse("pricing"), "See plans")


def _spike(alert: UsageAlert) -> Banner:
    usual = f"{alert.usual:,.0f}" if alert.usual is not None else "far fewer"
    text = f"{alert.used:,} {_spaced(alert.feature)} within an hour, where {usual} are usual. See which key it was. It happened on"
    return Banner("warning", text, alert.happened_at, reverse("usage"), "See the usage")


def _used(standing: Standing, reached: int) -> Banner | None:
    """Of a quota from half of it; of a level what was warned of in this period, for as long as it is so (what is over is told already)."""
    used, included, at = standing.used, standing.included, standing.resets_at
    if not included or used is None:
        return None
    name, link = _spaced(standing.feature), reverse("pricing")
    if at is None:
        told = reached and used * 100 >= reached * included and used <= included
        return Banner("info", f"{used:,} of {included:,} {name} are in use.", None, link, "Get more") if told else None
    if used >= included:
        return Banner("warning", f"All {included:,} {name} of this period are used. They start afresh on", at, link, "Get more")
    if used >= HALF * included:
        return Banner(
            "info",
            f"{used:,} of {included:,} {name} are used. They start afresh on",
            at,
            link,
            "Get more",
        )
    return None


def _spaced(feature: str) -> str:
    return feature.replace("_", " ")
