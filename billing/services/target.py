"""What a wished change means for the subscription that there is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import Organization
from billing.errors import CancellationPending, NoSubscription, NothingToChange, PaymentRequired
from billing.models import PlanPrice, SubscriptionState
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG

from . import meters, prices
from .overview import current

# A change is paid at once; where a payment is missing already, that one comes first.
CHANGEABLE = ("trialing", "active")


@dataclass(frozen=True, slots=True)
class Target:
    """`when` is "now" or "period_end"; `on_trial` says that nothing is charged for it yet."""

    state: SubscriptionState
    price: PlanPrice
    when: str
    at: datetime
    on_trial: bool

    @property
    def plan(self) -> str:
        return self.price.plan_version.plan

    @property
    def sells_overage(self) -> bool:
        """Whether the new plan, too, sells beyond its allowance."""
        return prices.sells_overage(self.price.plan_version)

    @property
    def drops_overage(self) -> bool:
        """Whether the metered item goes: with a plan that sells nothing beyond, once nothing that was sold waits for its invoice."""
        return bool(self.state.overage_item_id) and not self.sells_overage and not meters.owed(self.state.organization)


def live(organization: Organization) -> SubscriptionState:
    """The subscription that can be managed. Raises `NoSubscription`."""
    state = current(organization)
    if state is None or not state.is_live or state.status == "incomplete":
        raise NoSubscription
    return state


def choose(organization: Organization, plan: str, interval: str) -> Target:
    """Upgrades, longer intervals and changes on trial at once; downgrades and shorter intervals when what is paid for is over.

    Raises `NoSubscription`, `NothingToChange`, `CancellationPending`, `PaymentRequired`, `PlanNotSold`.
    """
    state = live(organization)
    price = prices.for_sale(plan, interval)
    if state.status not in CHANGEABLE:
        owed = organization.invoices.filter(stripe_subscription_id=state.stripe_subscription_id, status="open").first()
        raise PaymentRequired(reason=state.status, invoice_url=owed.hosted_url if owed else None)
    if (state.plan, state.interval) == (plan, interval):
        raise NothingToChange
    if state.cancel_at:
        # Whether at once or later: what was paid for it would end with the subscription.
        raise CancellationPending
    on_trial = state.status == "trialing"
    rise = (CATALOG.rank(plan), interval == "year") > (CATALOG.rank(state.plan), state.interval == "year")
    if rise or on_trial:
        return Target(state, price, "now", now(organization), on_trial)
    assert state.current_period_end is not None
    return Target(state, price, "period_end", state.current_period_end, on_trial)
