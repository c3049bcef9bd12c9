"""Actions whose response was lost are repeated with the same key, unless another action was requested meanwhile."""

import pytest

from billing import customers
from billing.errors import StripeUnavailable
from billing.models import BillingAction
from billing.stripe.gateway import customers as customer_gateway
from billing.stripe.gateway import subscriptions

pytestmark = pytest.mark.django_db
CHANGE, CANCEL, RESUME = "/api/billing/change-plan", "/api/billing/cancel", "/api/billing/resume"
ENTERPRISE = {"planTier": "enterprise"}


@pytest.fixture
def lose(monkeypatch):
    """`lose(module, name)`: Stripe executes the next call, but its response is lost. Returns the idempotency keys used since."""

    def next_answer(module, name, *, asks=True):
        real, keys = getattr(module, name), []

        def call(*args, key, **params):
            keys.append(str(key))
            answer = real(*args, key=key, **params) if asks or len(keys) > 1 else None
            if len(keys) == 1:
                raise StripeUnavailable
            return answer

        monkeypatch.setattr(module, name, call)
        return keys

    return next_answer


def test_repeated_action_uses_the_same_idempotency_key(payer, api, owner, lose):
    payer.buy()
    keys = lose(subscriptions, "update", asks=False)
    assert api.post(CANCEL, {}, by=owner).status_code == 503
    assert api.post(CANCEL, {}, by=owner).json()["cancelAt"]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert BillingAction.objects.get(kind="cancel").state == "done"


def test_a_customer_whose_response_was_lost_is_created_once(stripe_world, acme, lose):
    keys = lose(customer_gateway, "create")
    with pytest.raises(StripeUnavailable):
        customers.ensure_customer(acme, None)
    assert customers.ensure_customer(acme, None).stripe_customer_id
    assert len(keys) == 2
    assert len(stripe_world.sdk.customers.list().data) == 1


def test_a_cancellation_after_a_resumption_is_a_new_action(payer, api, owner, lose):
    subscription = payer.buy()
    lose(subscriptions, "update")
    assert api.post(CANCEL, {}, by=owner).status_code == 503
    payer.world.deliver()
    assert api.post(RESUME, {}, by=owner).json()["cancelAt"] is None
    assert BillingAction.objects.get(kind="cancel").state == "failed"
    assert api.post(CANCEL, {}, by=owner).json()["cancelAt"]
    assert payer.world.sdk.subscriptions.retrieve(subscription.id).cancel_at_period_end


def test_a_resumption_after_a_cancellation_is_a_new_action(payer, api, owner, lose):
    payer.buy()
    api.post(CANCEL, {}, by=owner)
    lose(subscriptions, "update")
    assert api.post(RESUME, {}, by=owner).status_code == 503
    payer.world.deliver()
    api.post(CANCEL, {}, by=owner)
    assert api.post(RESUME, {}, by=owner).json()["cancelAt"] is None


def test_plan_requested_again_after_another_is_a_new_action(payer, api, owner, lose):
    payer.buy(trial_period_days=14)
    lose(subscriptions, "update")
    assert api.post(CHANGE, ENTERPRISE, by=owner).status_code == 503
    payer.world.deliver()
    assert api.post(CHANGE, {"planTier": "pro"}, by=owner).json()["plan"] == "pro"
    assert api.post(CHANGE, ENTERPRISE, by=owner).json()["plan"] == "enterprise"


def test_a_portal_session_supersedes_pending_actions(payer, api, owner, lose):
    subscription = payer.buy()
    lose(subscriptions, "update")
    assert api.post(CANCEL, {}, by=owner).status_code == 503
    assert api.post("/api/billing/create-portal-session", by=owner).status_code == 200
    payer.world.sdk.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert api.post(CANCEL, {}, by=owner).json()["cancelAt"]


def test_new_preview_creates_a_new_action(payer, api, owner, lose):
    """Stripe would refuse the same key with another date."""
    payer.buy()
    payer.later(5)
    dated = ENTERPRISE | {"prorationDate": api.post("/api/billing/preview-change", ENTERPRISE, by=owner).json()["prorationDate"]}
    keys = lose(subscriptions, "update", asks=False)
    assert api.post(CHANGE, dated, by=owner).status_code == 503
    payer.later(0.001)
    later = ENTERPRISE | {"prorationDate": api.post("/api/billing/preview-change", ENTERPRISE, by=owner).json()["prorationDate"]}
    assert later != dated
    assert api.post(CHANGE, later, by=owner).json()["plan"] == "enterprise"
    assert len(set(keys)) == 2
