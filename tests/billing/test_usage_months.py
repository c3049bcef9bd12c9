"""Usage months stay where they are when staff give free days."""

from datetime import timedelta

import pytest

from billing.manager import BillingManager
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.types import Source
from tests.support.stripe import DAY
from usage import selectors
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db
FREE_DAYS = 10


def used(organization) -> int:
    organization.refresh_from_db()
    current = selectors.current(EntitlementsManager(organization).entitlements(), now(organization))
    return next(each.used for each in current.usage if each.feature == "sessions") or 0


def anchor(organization):
    organization.refresh_from_db()
    return EntitlementsManager(organization).entitlements().anchor


def give_free_days(payer, days=FREE_DAYS) -> None:
    """Move the next payment, as staff do in Stripe's dashboard."""
    state = payer.state
    end = int(max(now(payer.organization), state.trial_end or state.started_at).timestamp()) + days * DAY
    payer.world.sdk.subscriptions.update(state.stripe_subscription_id, {"trial_end": end, "proration_behavior": "none"})
    payer.world.deliver()


def test_free_days_keep_the_month_and_usage(payer, acme):
    payer.buy()
    before = anchor(acme)
    payer.later(10)
    UsageTracker(acme).consume("sessions", 1000)
    give_free_days(payer)
    assert payer.state.status == "trialing"
    assert (anchor(acme), used(acme)) == (before, 1000)
    payer.later(FREE_DAYS + 0.1)
    assert payer.state.status == "active"
    assert (anchor(acme), used(acme)) == (before, 1000)


def test_free_days_after_a_trial_keep_the_first_paid_month(payer, acme):
    payer.buy(trial_period_days=14)
    payer.later(14.1)
    before = anchor(acme)
    assert before == payer.state.trial_end
    payer.later(5)
    give_free_days(payer)
    assert anchor(acme) == before
    payer.later(FREE_DAYS + 0.1)
    assert anchor(acme) == before


def test_a_longer_trial_keeps_usage(payer, acme):
    payer.buy(trial_period_days=14)
    payer.later(10)
    UsageTracker(acme).consume("sessions", 700)
    give_free_days(payer)
    assert used(acme) == 700
    payer.later(4 + FREE_DAYS + 0.1)
    assert payer.state.status == "active"
    assert anchor(acme) == payer.state.trial_end


def test_a_trial_ended_early_starts_the_paid_month(payer, acme):
    payer.buy(trial_period_days=14)
    payer.later(3)
    UsageTracker(acme).consume("sessions", 1000)
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"trial_end": "now"})
    payer.world.deliver()
    acme.refresh_from_db()
    assert (anchor(acme), used(acme)) == (payer.state.trial_end, 0)


def test_free_days_keep_overage_enabled(payer, acme, owner):
    payer.buy()
    manager = BillingManager(acme)
    manager.set_overage(enabled=True, cap=2000, actor=owner.caller)
    payer.later(1)
    give_free_days(payer)
    assert manager.subscription().overage.enabled
    UsageTracker(acme).consume("sessions", 1001)
    payer.later(FREE_DAYS + 0.1)
    assert BillingManager(acme).subscription().overage.enabled


def test_during_free_days_the_cap_can_only_be_lowered(payer, acme, owner, api):
    payer.buy()
    BillingManager(acme).set_overage(enabled=True, cap=2000, actor=owner.caller)
    payer.later(1)
    give_free_days(payer)
    assert api.put("/api/billing/overage", {"enabled": True, "cap": 500}, by=owner).status_code == 200
    assert api.put("/api/billing/overage", {"enabled": True, "cap": 900}, by=owner).status_code == 409


@pytest.mark.parametrize("source", [Source.GIFT, Source.STAFF])
def test_a_grant_of_the_same_plan_keeps_usage_and_overage(payer, acme, owner, source):
    payer.buy()
    before = anchor(acme)
    BillingManager(acme).set_overage(enabled=True, cap=2000, actor=owner.caller)
    payer.later(3)
    UsageTracker(acme).consume("sessions", 1100)
    EntitlementsManager(acme).grant("pro", source, reason="outage", ends_at=now(acme) + timedelta(days=60))
    assert (anchor(acme), used(acme)) == (before, 1100)
    UsageTracker(acme).consume("sessions", 1)
    payer.world.sdk.subscriptions.cancel(payer.state.stripe_subscription_id)
    payer.world.deliver()
    assert payer.plan == "pro"
    assert (anchor(acme), used(acme)) == (before, 1101)
