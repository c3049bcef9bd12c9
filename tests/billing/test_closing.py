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


def test_everything_that_runs_is_ended(payer, acme, owner):
    payer.buy()
    payer.buy("enterprise")
    close(acme, owner)
    assert statuses(payer) == {"canceled"}
    assert payer.plan == "free"


def test_the_page_that_is_open_is_closed(payer, acme, owner, api):
    session = api.post(PATH, PRO, by=owner).json()["sessionId"]
    close(acme, owner)
    assert payer.world.sdk.checkout.sessions.retrieve(session).status == "expired"


@pytest.mark.parametrize("heard", [True, False])
def test_what_was_paid_before_it_and_not_heard_of_is_ended(payer, acme, owner, api, heard):
    pay(api.post(PATH, PRO, by=owner).json()["url"])
    close(acme, owner)
    if heard:
        payer.world.deliver()
    assert statuses(payer) == {"canceled"}


def test_so_is_what_was_bought_elsewhere(payer, acme, owner):
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


def test_a_first_payment_that_is_missing_can_not_be_made_any_more(payer, acme, owner):
    bought = payer.buy(payment_behavior="default_incomplete")
    assert payer.state.status == "incomplete"
    close(acme, owner)
    assert payer.world.sdk.invoices.retrieve(bought.latest_invoice).status == "void"
    assert statuses(payer) == {"incomplete_expired"}


def test_the_end_is_queued_once(payer, acme):
    queue.cancel_all(str(acme.pk))
    queue.cancel_all(str(acme.pk))
    assert len(jobs("billing.cancel_all_subscriptions")) == 1
