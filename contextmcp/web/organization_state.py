"""The state of an organization for its pages. Each part is queried at most once per request, when a page uses it."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.core.handlers.wsgi import WSGIRequest

from accounts.selectors import team_members_count
from accounts.types import Caller
from billing.manager import BillingManager
from billing.types import DunningState, OverageState, Subscription
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from entitlements.types import Entitlements
from usage import selectors
from usage.alerts import selectors as alerts
from usage.selectors import FeatureUsage

# The share of a usage month after which its usage is extrapolated.
ESTIMATED_FROM = 0.1


@dataclass(frozen=True)
class Overage:
    """Overage in the current usage month: `units` beyond the quota, which cost `spent` in minor units.

    `blocked` is the reason why it cannot be enabled: "trial", "canceling", "payment", or "" if it can. `estimate` is what it will have cost
    at `resets_at` if usage continues at its average pace; None if it is disabled or the month has just begun.
    """

    state: OverageState
    units: int
    blocked: str
    resets_at: datetime | None = None
    estimate: int | None = None

    @property
    def spent(self) -> int:
        return self.units * self.state.unit_amount

    @property
    def nearly_capped(self) -> bool:
        """Return whether at least 80 % of the cap is spent."""
        return self.state.cap is not None and self.spent * 5 >= self.state.cap * 4

    @property
    def cap_reached(self) -> bool:
        """Return whether the next unit is refused."""
        return self.state.enabled and self.state.cap is not None and self.spent + self.state.unit_amount > self.state.cap


class OrganizationState:
    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.organization = caller.organization
        self.billing = BillingManager(caller.organization)

    @cached_property
    def entitlements(self) -> Entitlements:
        return EntitlementsManager(self.organization).entitlements()

    @cached_property
    def next_plan(self) -> tuple[datetime, Entitlements] | None:
        """Return when the plan changes next, and the entitlements from then on; None if no change is known."""
        return EntitlementsManager(self.organization).next_plan() if self.entitlements.changes_at else None

    @cached_property
    def usage(self) -> list[FeatureUsage]:
        return selectors.current(self.entitlements, now(self.organization)).usage

    @cached_property
    def subscription(self) -> Subscription:
        return self.billing.subscription(self.usage)

    @cached_property
    def dunning(self) -> DunningState | None:
        return self.billing.dunning() if self.subscription.past_due_since else None

    @cached_property
    def alerts(self) -> alerts.ActiveAlerts:
        return alerts.active_alerts(self.organization)

    @cached_property
    def members(self) -> int:
        seats = CATALOG.seats
        used = next((each.used for each in self.usage if seats and each.feature == seats.name), None)
        return team_members_count(self.organization) if used is None else used

    @cached_property
    def overage(self) -> Overage | None:
        """Return the overage, or None if the plan has none or there is no live subscription to bill it on."""
        subscription = self.subscription
        setting = subscription.overage
        if setting is None or not subscription.is_live:
            return None
        used = next((each for each in self.usage if each.feature == setting.feature), None)
        blocked = ""
        if subscription.status == "trialing":
            blocked = "trial"
        elif subscription.status != "active":
            blocked = "payment"
        elif subscription.cancel_at:
            blocked = "canceling"
        if used is None:
            return Overage(setting, 0, blocked)
        return Overage(setting, used.overage, blocked, used.resets_at, self._estimate(setting, used))

    def _estimate(self, setting: OverageState, used: FeatureUsage) -> int | None:
        present = now(self.organization)
        period = self.entitlements.features[used.feature].period(present)
        elapsed = (present - period.start) / (period.end - period.start)
        if not setting.enabled or setting.cap is None or used.included is None or elapsed < ESTIMATED_FROM:
            return None
        units = round((used.used or 0) / elapsed) - used.included
        return min(max(units, used.overage) * setting.unit_amount, max(setting.cap, used.overage * setting.unit_amount))


def organization_state(request: WSGIRequest, caller: Caller) -> OrganizationState:
    if not hasattr(request, "_account_state"):
        request._account_state = OrganizationState(caller)  # type: ignore[attr-defined]
    state: OrganizationState = request._account_state  # type: ignore[attr-defined]
    return state
