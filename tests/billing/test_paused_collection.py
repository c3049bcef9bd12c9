"""Staff pause payment collection at Stripe: the plan continues, and the pages say so."""

import pytest
from structlog.testing import capture_logs

from billing import reconciliation
from billing.errors import CollectionPaused
from billing.manager import BillingManager
from billing.metrics import InboxCollector
from billing.models import Drift
from contextmcp.common.clock import now
from tests.support.stripe import DAY

pytestmark = pytest.mark.django_db
BEHAVIORS = ["keep_as_draft", "mark_uncollectible", "void"]


def pause(payer, behavior: str = "void", resumes_in: int | None = None) -> None:
    expected = {"behavior": behavior}
    if resumes_in:
        expected["resumes_at"] = int(now(payer.organization).timestamp()) + resumes_in * DAY
    payer.world.sdk.subscriptions.update(payer.state.stripe_subscription_id, {"pause_collection": expected})
    payer.world.deliver()


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_plan_continues_and_the_pause_is_shown(payer, api, owner, behavior):
    payer.buy()
    with capture_logs() as logs:
        pause(payer, behavior)
    assert [each["behavior"] for each in logs if each["event"] == "billing.collection_paused"] == [behavior]
    payer.later(45)
    assert (payer.state.status, payer.plan) == ("active", "pro")
    data = api.get("/api/billing/subscription", by=owner).json()
    assert data["collectionPause"] == {"behavior": behavior, "resumesAt": None}
    run = reconciliation.reconcile(payer.organization)
    assert [drift.subject for drift in Drift.objects.filter(run=run, kind="collection_paused")] == [payer.state.stripe_subscription_id]


def test_a_pause_is_counted_in_the_metric(payer):
    payer.buy()
    pause(payer)
    samples = {sample.name: sample.value for family in InboxCollector().collect() for sample in family.samples}
    assert samples["billing_collection_paused"] == 1


def test_a_pause_ends_when_stripe_resumes(payer, api, owner):
    payer.buy()
    pause(payer, resumes_in=10)
    assert BillingManager(payer.organization).subscription().collection_pause.resumes_at
    payer.later(11)
    assert api.get("/api/billing/subscription", by=owner).json()["collectionPause"] is None


def test_purchases_are_refused_during_a_pause(payer, owner):
    payer.buy()
    manager = BillingManager(payer.organization)
    manager.set_overage(enabled=True, cap=2000, actor=owner.caller)
    pause(payer)
    with pytest.raises(CollectionPaused):
        manager.change_plan("enterprise", "month", actor=owner.caller)
    with pytest.raises(CollectionPaused):
        manager.set_overage(enabled=True, cap=3000, actor=owner.caller)
    assert manager.set_overage(enabled=True, cap=1000, actor=owner.caller).cap == 1000


def test_a_payment_missing_before_the_pause_stays_missing(payer):
    payer.buy()
    payer.declines()
    payer.later(32)
    until = payer.state.grace_until
    pause(payer, "keep_as_draft")
    assert (payer.state.status, payer.state.grace_until) == ("past_due", until)
    payer.later(8)
    assert payer.plan == "free"


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_a_pause_has_no_next_payment(payer, behavior):
    payer.buy()
    pause(payer, behavior)
    assert BillingManager(payer.organization).next_payment() is None


def test_a_pause_that_ends_before_the_renewal_keeps_the_payment(payer):
    payer.buy()
    pause(payer, resumes_in=10)
    assert BillingManager(payer.organization).next_payment().amount == 900
