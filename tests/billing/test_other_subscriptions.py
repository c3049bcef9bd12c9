"""A customer's subscriptions to other products, and fields that every user of the dashboard may edit."""

import pytest

from billing import customer_mapping
from billing.errors import NoSubscription
from billing.manager import BillingManager
from billing.models import CheckoutAttempt, SubscriptionState
from billing.sync import customer_projection
from billing.sync.customer import sync_customer
from contextmcp.common.ids import as_uuid
from tests.factories.accounts import OrganizationFactory
from tests.factories.billing import Payer, price_of
from tests.support.properties import HealthCheck, given, settings, st

pytestmark = pytest.mark.django_db


@pytest.fixture
def contract(payer):
    """Return a function that sells the customer a support contract for $500 a month, as staff would in Stripe's dashboard."""

    def sell():
        product = payer.world.sdk.products.create({"name": "Support contract"})
        price = payer.world.sdk.prices.create(
            {"product": product.id, "unit_amount": 50_000, "currency": "usd", "recurring": {"interval": "month"}}
        )
        subscription = payer.world.subscribe(payer.customer, price.id)
        payer.world.deliver()
        return subscription

    return sell


def at_stripe(payer, subscription):
    return payer.world.sdk.subscriptions.retrieve(subscription.id)


def test_the_plan_is_shown_among_several_subscriptions(payer, contract):
    payer.buy()
    contract()
    shown = BillingManager(payer.organization).subscription()
    assert (shown.plan, shown.amount, shown.status) == ("pro", 900, "active")


def test_a_plan_change_does_not_affect_other_subscriptions(payer, owner, contract):
    payer.buy()
    other = contract()
    BillingManager(payer.organization).change_plan("enterprise", "month", actor=owner.caller)
    assert payer.plan == "enterprise"
    assert at_stripe(payer, other)["items"].data[0].price.unit_amount == 50_000


def test_canceling_the_plan_keeps_other_subscriptions(payer, owner, contract):
    subscription = payer.buy()
    other = contract()
    BillingManager(payer.organization).cancel(actor=owner.caller, at_once=True)
    assert at_stripe(payer, subscription).status == "canceled"
    assert at_stripe(payer, other).status == "active"
    assert payer.plan == "free"


def test_other_subscription_allows_checkout_and_no_cancellation(payer, owner, contract):
    other = contract()
    manager = BillingManager(payer.organization)
    assert manager.subscription().status == "none"
    with pytest.raises(NoSubscription):
        manager.cancel(actor=owner.caller, at_once=True)
    assert manager.create_checkout("pro", "month", actor=owner.caller).url
    assert at_stripe(payer, other).status == "active"


def test_a_subscription_to_a_foreign_price_does_not_entitle(payer, contract):
    subscription = payer.buy()
    price = at_stripe(payer, contract())["items"].data[0].price.id
    item = at_stripe(payer, subscription)["items"].data[0].id
    payer.world.sdk.subscriptions.update(subscription.id, {"items": [{"id": item, "price": price}], "proration_behavior": "none"})
    payer.world.deliver()
    assert payer.plan == "free"
    assert not SubscriptionState.objects.exists()


@pytest.mark.parametrize("value", ["see ticket 42", "", "0", "\U0001f600", "None", "0" * 500])
def test_invalid_metadata_does_not_stop_a_cancellation(payer, value):
    subscription = payer.buy()
    payer.world.sdk.subscriptions.update(subscription.id, {"metadata": {"checkout_attempt": value, "organization": value}})
    payer.world.deliver()
    payer.world.sdk.subscriptions.cancel(subscription.id)
    payer.world.deliver()
    assert payer.plan == "free"


@pytest.mark.parametrize("value", ["{}", "", "\U0001f600", "0" * 500, "0192f0c1-5a52-7a6d-925a-895618c9074c"])
def test_invalid_customer_metadata_does_not_stop_a_sync(payer, value):
    subscription = payer.buy()
    payer.world.sdk.customers.update(payer.customer, {"metadata": {customer_mapping.SUBSCRIBER: value}})
    payer.world.sdk.subscriptions.cancel(subscription.id)
    payer.world.deliver()
    assert payer.plan == "free"


def test_a_linked_customer_keeps_its_organization(payer):
    other = Payer.make(payer.world, OrganizationFactory(name="Other"))
    other.buy("enterprise")
    subscription = payer.buy()
    payer.world.sdk.customers.update(payer.customer, {"metadata": {customer_mapping.SUBSCRIBER: str(other.organization.pk)}})
    payer.world.deliver()
    assert (payer.plan, other.plan) == ("pro", "enterprise")
    payer.world.sdk.subscriptions.cancel(subscription.id)
    payer.world.deliver()
    assert (payer.plan, other.plan) == ("free", "enterprise")


def test_the_attempt_named_in_the_metadata_is_completed(payer, owner):
    BillingManager(payer.organization).create_checkout("pro", "month", actor=owner.caller)
    attempt = CheckoutAttempt.objects.get()
    payer.world.subscribe(payer.customer, price_of(), metadata={"checkout_attempt": str(attempt.pk)})
    payer.world.deliver()
    attempt.refresh_from_db()
    assert attempt.state == CheckoutAttempt.State.COMPLETED


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text()), st.uuids().map(str)))
def test_unexpected_field_values_raise_no_error(acme, value):
    account = customer_mapping.account_for_organization(acme)
    customer_projection._attempts(
        account, [{"metadata": {"checkout_attempt": value}, "status": "canceled"}, {"metadata": None, "status": "canceled"}]
    )
    customer_mapping.organization_from_metadata({"metadata": {customer_mapping.SUBSCRIBER: value}})
    assert as_uuid(value) is None or str(as_uuid(value)) == value


def test_a_foreign_subscription_is_not_projected(payer, contract):
    contract()
    assert sync_customer(payer.customer).changes == ()
    assert not SubscriptionState.objects.exists()
