"""A closed organization is not charged again, whatever was in progress."""

import pytest

from accounts.manager import AuthManager
from billing import enqueue as queue
from billing import reconciliation
from tests.factories.billing import price_of
from tests.support.stripe import jobs, work

from .test_checkout_payment import PATH, PRO, pay

pytestmark = pytest.mark.django_db


def close(organization, owner) -> None:
    AuthManager(organization).close(owner.user)
    work()


def statuses(payer) -> set[str]:
    """Return the statuses of its subscriptions at Stripe."""
    return {each.status for each in payer.world.sdk.subscriptions.list({"customer": payer.customer, "status": "all"}).data}


def test_closing_cancels_all_live_subscriptions(payer, acme, owner):
    payer.buy()
    payer.buy("enterprise")
    close(acme, owner)
    assert statuses(payer) == {"canceled"}
    assert payer.plan == "free"


def test_closing_expires_the_open_checkout(payer, acme, owner, api):
    session = api.post(PATH, PRO, by=owner).json()["sessionId"]
    close(acme, owner)
    assert payer.world.sdk.checkout.sessions.retrieve(session).status == "expired"


@pytest.mark.parametrize("received", [True, False])
def test_closing_cancels_an_unsynchronized_subscription(payer, acme, owner, api, received):
    pay(api.post(PATH, PRO, by=owner).json()["url"])
    close(acme, owner)
    if received:
        payer.world.deliver()
    assert statuses(payer) == {"canceled"}


def test_closing_cancels_subscriptions_of_the_dashboard(payer, acme, owner):
    payer.world.subscribe(payer.customer, price_of())
    close(acme, owner)
    assert statuses(payer) == {"active"}
    payer.world.deliver()
    assert statuses(payer) == {"canceled"}


def test_nightly_run_ends_grants_whose_event_was_lost(payer, acme, owner):
    close(acme, owner)
    payer.world.subscribe(payer.customer, price_of())
    reconciliation.reconcile()
    work()
    assert statuses(payer) == {"canceled"}


def test_an_incomplete_subscription_is_canceled_when_closing(payer, acme, owner):
    subscription = payer.buy(payment_behavior="default_incomplete")
    assert payer.state.status == "incomplete"
    close(acme, owner)
    assert payer.world.sdk.invoices.retrieve(subscription.latest_invoice).status == "void"
    assert statuses(payer) == {"incomplete_expired"}


def test_the_cancellation_is_queued_once(payer, acme):
    queue.cancel_all(str(acme.pk))
    queue.cancel_all(str(acme.pk))
    assert len(jobs("billing.cancel_all_subscriptions")) == 1
