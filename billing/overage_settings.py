"""Enables and disables overage: a setting in usage, and a metered item on the subscription at Stripe."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from accounts.models import Organization
from billing.catalog import prices
from billing.customer_locks import serialized
from billing.errors import ChangeAwaitsPayment, CollectionPaused, NoSubscription, OverageNotSold
from billing.idempotent_actions import Actor, idempotent_action
from billing.models import SubscriptionState
from billing.selectors import current_subscription, overage_state, pending_change
from billing.stripe.gateway import subscriptions
from billing.subscriptions import scheduled_change
from billing.subscriptions.resolve_plan_change import CHANGEABLE, checked_after_refusal, require_active_subscription
from billing.sync.customer import sync_customer
from billing.types import OverageState
from contextmcp.common.errors import ValidationFailed
from entitlements.manager import EntitlementsManager
from usage.tracker import UsageTracker

from .overage import reporting


def set_overage(organization: Organization, *, enabled: bool, cap: int | None, actor: Actor) -> OverageState:
    """Enable overage with a monthly `cap` in minor units, change the cap, or disable overage.

    The metered item is added before the first unit is sold. It stays after overage is disabled, to bill the units that were sold.

    Raises `ValidationFailed` without a positive cap, `NoSubscription`, `OverageNotSold`, `CollectionPaused`, `ChangeAwaitsPayment`,
    `ChangeInProgress`, `StripeRejected` or `StripeUnavailable`.
    """
    if enabled and (cap is None or cap <= 0):
        raise ValidationFailed.of_field("cap", _("Enter a monthly cap greater than zero."))
    with serialized(organization.pk):
        state = require_active_subscription(organization)
        current = overage_state(organization)
        if current is None or state.plan_version is None or EntitlementsManager(organization).entitlements().plan != state.plan:
            raise OverageNotSold
        if enabled and state.status == "trialing" and (cap or 0) > (current.cap or 0):
            # Stripe does not bill metered usage during a trial, so the units would be free. An existing cap may be lowered.
            raise OverageNotSold("Overage cannot be enabled or increased during a trial.")
        if enabled and state.collection_paused and (cap or 0) > (current.cap or 0):
            raise CollectionPaused(resumes_at=state.collection_resumes_at)
        if enabled and state.status not in CHANGEABLE:
            raise OverageNotSold("Overage can be changed only while the subscription is active or in trial.")
        if enabled and not state.overage_item_id:
            if pending := pending_change(state):
                # Stripe applies a pending update with the items that existed when it was requested, so it would remove the new item.
                raise ChangeAwaitsPayment(url=pending.url, expires_at=pending.expires_at)
            _add_item(organization, state, current.feature, actor)
            scheduled_change.align_schedule(organization)
        reporting.enqueue_reports(organization)
        parameters = {"enabled": enabled, "cap_minor": cap or 0, "currency": current.currency}
        with idempotent_action(organization, "set_overage", actor, feature=current.feature, **parameters):
            UsageTracker(organization).set_overage(current.feature, enabled=enabled, cap_minor=cap or 0, currency=current.currency)
        # Report again under the previous cap: units may have been used between the first report and the change of the setting.
        reporting.enqueue_reports(organization, cap_minor=current.cap or 0)
    result = overage_state(organization)
    assert result is not None
    return result


def remove_unused_item(organization: Organization) -> None:
    """Remove the metered item from a plan without overage, once all units that were sold before are billed."""
    with serialized(organization.pk):
        state = current_subscription(organization)
        if state is None or not state.is_live or not state.overage_item_id or state.plan_version is None or state.pending_change:
            return
        # Use the subscribed plan version, not the entitlements: a missing payment reduces the entitlements only until it is paid.
        if prices.sells_overage(state.plan_version) or reporting.has_unbilled_usage(organization):
            return
        with idempotent_action(organization, "remove_overage_item", None, item=state.overage_item_id) as row:
            subscriptions.remove_item(state.overage_item_id, key=row.pk)
        sync_customer(state.stripe_customer_id)


def _add_item(organization: Organization, state: SubscriptionState, feature: str, actor: Actor) -> None:
    assert state.plan_version is not None
    price = prices.overage_price(state.plan_version, feature)
    if price is None:
        raise OverageNotSold("The overage price has not been published to the payment provider. Run `manage.py publish_catalog`.")
    subscription_id = state.stripe_subscription_id
    document = subscriptions.retrieve(subscription_id)
    if document is None or document["ended_at"]:
        sync_customer(state.stripe_customer_id)
        raise NoSubscription
    if price.stripe_price_id not in {item["price"]["id"] for item in document["items"]["data"]}:
        parameters = {"subscription": subscription_id, "price": price.stripe_price_id}
        with checked_after_refusal(state), idempotent_action(organization, "add_overage_item", actor, **parameters) as row:
            subscriptions.add_item(subscription_id, price.stripe_price_id, key=row.pk)
    sync_customer(state.stripe_customer_id)
