"""From the click to the plan, through the hosted page."""

import pytest
import requests

from billing.errors import StripeUnavailable
from billing.manager import BillingManager
from billing.models import CheckoutAttempt, SubscriptionState
from billing.stripe.gateway import checkout as checkout_gateway
from billing.subscriptions import checkout
from tests.factories.billing import plan_of, price_of
from tests.support.api import problem
from tests.support.stripe import work

pytestmark = pytest.mark.django_db
PATH = "/api/billing/create-checkout-session"
PRO = {"planTier": "pro", "interval": "month"}


def pay(url: str, card: str = "4242 4242 4242 4242", **more: str):
    """Submit the hosted page as a browser would."""
    form = {"action": "pay", "cardNumber": card, "cardExpiry": "12 / 34", "cardCvc": "123", "email": "owner@acme.example", **more}
    return requests.post(url, data=form, allow_redirects=False, timeout=30)


def test_a_payment_gives_the_plan_by_webhook(stripe_world, api, owner, acme):
    session = api.post(PATH, PRO, by=owner).json()
    answer = pay(session["url"])
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"].endswith(f"/account/billing/return/?session_id={session['sessionId']}")
    stripe_world.deliver()
    result = BillingManager(acme).subscription()
    assert (result.plan, result.status, result.amount) == ("pro", "trialing", 900)
    assert CheckoutAttempt.objects.get().state == "completed"
    assert problem(api.post(PATH, PRO, by=owner)) == (409, "already_subscribed")
    assert BillingManager(acme).return_from_checkout(session["sessionId"]) is True


def test_the_return_does_not_wait_for_the_webhook(stripe_world, api, owner, acme):
    session = api.post(PATH, PRO, by=owner).json()
    manager = BillingManager(acme)
    assert manager.return_from_checkout(session["sessionId"]) is False
    pay(session["url"])
    assert manager.return_from_checkout(session["sessionId"]) is True
    assert plan_of(acme) == "pro"
    stripe_world.deliver()
    assert SubscriptionState.objects.count() == 1
    assert acme.grants.count() == 1


def test_a_click_after_paying_finds_the_subscription(stripe_world, api, owner, acme):
    session = api.post(PATH, PRO, by=owner).json()
    pay(session["url"])
    assert problem(api.post(PATH, PRO, by=owner)) == (409, "already_subscribed")
    assert plan_of(acme) == "pro"


def test_another_choice_after_paying_finds_the_subscription(stripe_world, api, owner, acme):
    session = api.post(PATH, PRO, by=owner).json()
    pay(session["url"])
    assert problem(api.post(PATH, PRO | {"interval": "year"}, by=owner)) == (409, "already_subscribed")
    assert plan_of(acme) == "pro"


def test_a_declined_card_leaves_the_page_open(stripe_world, api, owner, acme):
    session = api.post(PATH, PRO, by=owner).json()
    assert pay(session["url"], "4000 0000 0000 0002").status_code == 402
    stripe_world.deliver()
    assert plan_of(acme) == "free"
    assert pay(session["url"]).status_code == 303
    stripe_world.deliver()
    assert plan_of(acme) == "pro"


def test_a_payment_that_requires_authentication(stripe_world, api, owner, acme):
    session = api.post(PATH, PRO, by=owner).json()
    requested = pay(session["url"], "4000 0027 6000 3184")
    assert requested.status_code == 200
    stripe_world.deliver()
    assert plan_of(acme) == "free"
    assert pay(session["url"], "4000 0027 6000 3184", action="authenticate").status_code == 303
    stripe_world.deliver()
    assert plan_of(acme) == "pro"


def test_a_second_checkout_has_no_trial(stripe_world, api, owner, acme):
    pay(api.post(PATH, PRO, by=owner).json()["url"])
    stripe_world.deliver()
    api.post("/api/billing/cancel", {"at": "now"}, by=owner)
    pay(api.post(PATH, PRO | {"interval": "year"}, by=owner).json()["url"])
    stripe_world.deliver()
    result = BillingManager(acme).subscription()
    assert (result.status, result.interval, result.trial_end) == ("active", "year", None)
    assert BillingManager(acme).invoices().filter(total=9000, status="paid").count() == 1


def test_a_trial_without_a_received_event_counts_as_used(payer, api, owner):
    subscription = payer.world.subscribe(payer.customer, price_of(), trial_period_days=14)
    payer.world.sdk.subscriptions.cancel(subscription.id)
    assert api.post(PATH, PRO, by=owner).status_code == 200
    assert "trial_period_days" not in CheckoutAttempt.objects.get().request["subscription_data"]


def test_an_old_checkout_page_creates_no_second_subscription(payer, api, owner):
    session = api.post(PATH, PRO, by=owner).json()
    payer.buy("enterprise")
    work()
    assert payer.world.sdk.checkout.sessions.retrieve(session["sessionId"]).status == "expired"
    assert CheckoutAttempt.objects.get().state == "expired"
    pay(session["url"])
    payer.world.deliver()
    assert payer.organization.subscriptions.live().count() == 1


def test_a_session_whose_response_was_lost_is_expired(payer, api, owner, monkeypatch):
    create = checkout_gateway.create

    def lost(**options):
        create(**options)
        raise StripeUnavailable

    monkeypatch.setattr(checkout_gateway, "create", lost)
    assert api.post(PATH, PRO, by=owner).status_code == 503
    monkeypatch.setattr(checkout_gateway, "create", create)
    payer.buy("enterprise")
    work()
    assert [each.status for each in payer.world.sdk.checkout.sessions.list().data] == ["expired"]


def test_a_completed_checkout_is_not_expired(payer, api, owner):
    """Both subscriptions are active then. Staff see it; neither is canceled automatically."""
    session = api.post(PATH, PRO, by=owner).json()
    pay(session["url"])
    checkout.close_checkout(payer.organization)
    assert CheckoutAttempt.objects.get().state == "completed"
    assert payer.plan == "pro"
