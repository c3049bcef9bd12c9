"""Resolves a requested plan change: whether it is allowed, at what price, and when it takes effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Organization
from billing.catalog import prices
from billing.errors import (
    CancellationPending,
    CollectionPaused,
    NoSubscription,
    NothingToChange,
    PaymentRequired,
    StripeRejected,
)
from billing.models import PlanPrice, SubscriptionState
from billing.overage import reporting
from billing.selectors import current_subscription, invoice_to_pay
from billing.sync.customer import sync_customer
from contextmcp.common.clock import now
from entitlements.catalog import CATALOG

# Statuses in which the plan can be changed. In others a missing payment has to be made first.
CHANGEABLE = ("trialing", "active")


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A resolved plan change. `when` is "now" or "period_end". If `on_trial` is True, the change charges nothing."""

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
        """Return whether the new plan offers overage."""
        return prices.sells_overage(self.price.plan_version)

    @property
    def drops_overage(self) -> bool:
        """Return whether the metered item is removed: the new plan has no overage, and no reported units wait for their invoice."""
        return bool(self.state.overage_item_id) and not self.sells_overage and not reporting.has_unbilled_usage(self.state.organization)


def require_active_subscription(organization: Organization) -> SubscriptionState:
    """Return the subscription that can be managed. Raises `NoSubscription`."""
    state = current_subscription(organization)
    if state is None or not state.is_live or state.status == "incomplete":
        raise NoSubscription
    return state


@contextmanager
def checked_after_refusal(state: SubscriptionState) -> Iterator[None]:
    """Sync the customer if Stripe rejects a request of the block. Raises `NoSubscription` if the subscription has ended."""
    try:
        yield
    except StripeRejected:
        sync_customer(state.stripe_customer_id)
        require_active_subscription(state.organization)
        raise


def resolve_plan_change(organization: Organization, plan: str, interval: str) -> PlanChange:
    """Resolve a change. Upgrades, longer intervals and changes during the first trial take effect now, others at the end of the period.

    Free days that staff added belong to the paid period: a downgrade takes effect after them.

    Raises `NoSubscription`, `NothingToChange`, `CancellationPending`, `CollectionPaused`, `PaymentRequired`, `PlanNotSold`.
    """
    state = require_active_subscription(organization)
    price = prices.sellable_price(plan, interval)
    if state.status not in CHANGEABLE:
        invoice = invoice_to_pay(state)
        raise PaymentRequired(reason=state.status, invoice_url=invoice.hosted_url if invoice else None)
    if (state.plan, state.interval) == (plan, interval):
        raise NothingToChange
    if state.cancel_at:
        # The new plan would end with the subscription, although it was paid for.
        raise CancellationPending
    if state.collection_paused:
        raise CollectionPaused(resumes_at=state.collection_resumes_at)
    on_trial = state.status == "trialing"
    is_upgrade = (CATALOG.rank(plan), interval == "year") > (CATALOG.rank(state.plan), state.interval == "year")
    if is_upgrade or state.on_first_trial:
        return PlanChange(state, price, "now", now(organization), on_trial)
    assert state.current_period_end is not None
    return PlanChange(state, price, "period_end", state.current_period_end, on_trial)
