"""Owners pause payments instead of canceling, if the operator offers it."""

import pytest

from accounts.models import OperatorAlert
from billing import reconciliation
from billing.errors import NothingToChange, PauseNotOffered
from billing.manager import BillingManager
from billing.models import Drift
from tests.billing.test_paused_collection import pause

pytestmark = pytest.mark.django_db
CONDITIONS = ["not configured", "yearly", "trial", "canceled", "past due", "overage", "paused by staff", "scheduled"]


@pytest.fixture(autouse=True)
def _offered(settings):
    settings.BILLING_PAUSE_PAYMENTS = 1


def test_one_payment_is_skipped_and_the_plan_continues(payer, owner):
    payer.buy()
    first_end = payer.state.current_period_end
    manager = BillingManager(payer.organization)
    offer = manager.pause_offer()
    state = manager.pause_payments(owner.caller)
    assert state.collection_pause.resumes_at == offer.resumes_at
    payer.later(31.2)
    assert payer.state.current_period_start == first_end and payer.plan == "pro"
    payer.later(31.2)
    assert payer.state.current_period_start == offer.next_payment_at
    assert [each.status for each in manager.invoices()] == ["paid", "void", "paid"]


def test_a_chosen_pause_alerts_no_operator(payer, owner):
    payer.buy()
    BillingManager(payer.organization).pause_payments(owner.caller)
    payer.world.deliver()
    run = reconciliation.reconcile(payer.organization)
    assert not Drift.objects.filter(run=run, kind="collection_paused").exists()
    assert not OperatorAlert.objects.exists()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_pause_is_not_offered(payer, owner, settings, condition):
    manager = BillingManager(payer.organization)
    if condition in ("yearly", "trial"):
        payer.buy(interval="year") if condition == "yearly" else payer.buy(trial_period_days=14)
    elif condition == "scheduled":
        payer.buy("enterprise")
        manager.change_plan("pro", "month")
    else:
        payer.buy()
    if condition == "not configured":
        settings.BILLING_PAUSE_PAYMENTS = 0
    elif condition == "canceled":
        manager.cancel()
    elif condition == "past due":
        payer.declines()
        payer.later(32)
    elif condition == "overage":
        manager.set_overage(enabled=True, cap=2000)
    elif condition == "paused by staff":
        pause(payer)
        with pytest.raises(NothingToChange):
            manager.resume_payments(owner.caller)
    assert manager.pause_offer() is None
    with pytest.raises(PauseNotOffered):
        manager.pause_payments(owner.caller)
