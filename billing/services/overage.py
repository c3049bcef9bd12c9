"""Selling beyond the allowance: a setting of usage's, and a metered item beside the plan at Stripe."""

from __future__ import annotations

from accounts.models import Organization
from billing.errors import NoSubscription, OverageNotSold
from billing.gateway import subscriptions
from billing.models import SubscriptionState
from billing.types import OverageState
from contextmcp.common.errors import ValidationFailed
from entitlements.manager import EntitlementsManager
from usage.tracker import UsageTracker

from . import meters, prices
from .actions import Actor, wish
from .locks import one_at_a_time
from .overview import current, overage_state
from .sync import sync_customer
from .target import CHANGEABLE, live


def set_overage(organization: Organization, *, enabled: bool, cap: int | None, actor: Actor) -> OverageState:
    """Turn it on with a monthly cap in minor units, change the cap, or turn it off.

    The metered item is there before the first unit is sold, and stays for what was sold after it is turned off.
    """
    if enabled and (cap is None or cap <= 0):
        raise ValidationFailed(errors=[{"field": "cap", "message": "Give the most that overage may cost a month."}])
    with one_at_a_time(organization.pk):
        state = live(organization)
        sold = overage_state(organization)
        if sold is None or state.plan_version is None or EntitlementsManager(organization).entitlements().plan != state.plan:
            raise OverageNotSold
        if enabled and state.status == "trialing":
            # Stripe bills nothing of what a meter counts in a trial: it would be sold for nothing.
            raise OverageNotSold("Nothing is sold beyond the allowance before the trial is over.")
        if enabled and state.status not in CHANGEABLE:
            raise OverageNotSold("The subscription is not in good standing.")
        if enabled and not state.overage_item_id:
            _add_item(organization, state, sold.feature, actor)
        meters.collect(organization)
        wanted = {"enabled": enabled, "cap_minor": cap or 0, "currency": sold.currency}
        with wish(organization, "set_overage", actor, feature=sold.feature, **wanted):
            UsageTracker(organization).set_overage(sold.feature, enabled=enabled, cap_minor=cap or 0, currency=sold.currency)
        # What was sold until now is sold, under the cap that held: also what was used between the first look and the change.
        meters.collect(organization, cap_minor=sold.cap or 0)
    found = overage_state(organization)
    assert found is not None
    return found


def tidy(organization: Organization) -> None:
    """Take the metered item off a plan that sells nothing beyond its allowance, once all that was sold before is billed."""
    with one_at_a_time(organization.pk):
        state = current(organization)
        if state is None or not state.is_live or not state.overage_item_id or state.plan_version is None:
            return
        # By what was bought: in arrears an organization has less, and gets it back with its payment.
        if prices.sells_overage(state.plan_version) or meters.owed(organization):
            return
        with wish(organization, "remove_overage_item", None, item=state.overage_item_id) as row:
            subscriptions.remove_item(state.overage_item_id, key=row.pk)
        sync_customer(state.stripe_customer_id)


def _add_item(organization: Organization, state: SubscriptionState, feature: str, actor: Actor) -> None:
    assert state.plan_version is not None
    price = prices.overage(state.plan_version, feature)
    if price is None:
        raise OverageNotSold("The plan's overage has no price at the payment provider yet: run manage.py publish_catalog.")
    subscription_id = state.stripe_subscription_id
    present = subscriptions.retrieve(subscription_id)
    if present is None or present["ended_at"]:
        sync_customer(state.stripe_customer_id)
        raise NoSubscription
    if price.stripe_price_id not in {item["price"]["id"] for item in present["items"]["data"]}:
        with wish(organization, "add_overage_item", actor, subscription=subscription_id, price=price.stripe_price_id) as row:
            subscriptions.add_item(subscription_id, price.stripe_price_id, key=row.pk)
    sync_customer(state.stripe_customer_id)
