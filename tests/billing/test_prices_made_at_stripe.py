"""Prices and purchases created at Stripe: a customer who pays for a plan has it, or the operator is alerted."""

import pytest
import requests
from django.urls import reverse
from structlog.testing import capture_logs

from accounts.models import Organization
from billing import reconciliation
from billing.catalog import prices
from billing.models import BillingAccount, Drift, PlanPrice
from tests.billing.test_admin import staff
from tests.convergence.stripe_fixture import CARD
from tests.factories.accounts import OrganizationFactory, UserFactory
from tests.factories.billing import Payer, plan_of, price_of

pytestmark = pytest.mark.django_db


def make_price(world, *, product: str = "", **more) -> str:
    product = product or world.sdk.products.create({"name": "Special offer", "metadata": more.pop("product_metadata", {})}).id
    params = {"product": product, "unit_amount": 700, "currency": "usd", "recurring": {"interval": "month"}, **more}
    return world.sdk.prices.create(params).id


def subscribe(payer: Payer, price: str) -> list[str]:
    """Return the operator alerts."""
    with capture_logs() as logs:
        payer.world.subscribe(payer.customer, price)
        payer.world.deliver()
    return [each["event"] for each in logs if each["log_level"] == "warning" and each["event"].startswith("billing.")]


def test_a_price_of_the_plans_product_gives_the_plan(payer):
    price = make_price(payer.world, product=PlanPrice.objects.get(stripe_price_id=price_of()).stripe_product_id)
    assert subscribe(payer, price) == ["billing.price_registered"]
    assert (payer.plan, payer.state.unit_amount) == ("pro", 700)
    assert not PlanPrice.objects.get(stripe_price_id=price).current


@pytest.mark.parametrize("where", ["metadata", "product_metadata"])
def test_metadata_selects_the_plan_of_a_price(payer, where):
    assert subscribe(payer, make_price(payer.world, **{where: {"contextmcp_plan": "enterprise"}})) == ["billing.price_registered"]
    assert payer.plan == "enterprise"


@pytest.mark.parametrize("name", ["", "unheard of", "0" * 400])
def test_metadata_of_no_plan_registers_nothing(payer, name):
    subscribe(payer, make_price(payer.world, metadata={"contextmcp_plan": name}))
    assert payer.plan == "free"


def test_unknown_price_alerts_at_once_and_staff_can_register_it(payer, client):
    price = make_price(payer.world)
    assert "billing.unknown_price" in subscribe(payer, price)
    assert payer.plan == "free"
    staff(client)
    version = PlanPrice.objects.get(stripe_price_id=price_of()).plan_version
    params = {"plan_version": version.pk, "stripe_price_id": price, "reason": "Ticket 7"}
    assert client.post(reverse("admin:billing_planprice_add"), params).status_code == 403
    staff(client, "operate_billing")
    response = client.post(reverse("admin:billing_planprice_add"), params | {"stripe_price_id": "price_nothing"})
    assert b"No recurring price with this ID exists at Stripe." in response.content
    answer = client.post(reverse("admin:billing_planprice_add"), params)
    assert answer.status_code == 302, answer.content
    payer.world.deliver()
    assert payer.plan == "pro"


def reprice(payer: Payer, price: str) -> list[str]:
    """Move the plan's item to another price, as staff do in Stripe's dashboard. Return the operator alerts."""
    subscription = payer.world.sdk.subscriptions.retrieve(payer.state.stripe_subscription_id)
    with capture_logs() as logs:
        expected = [{"id": subscription["items"].data[0].id, "price": price}]
        payer.world.sdk.subscriptions.update(subscription.id, {"items": expected, "proration_behavior": "none"})
        payer.world.deliver()
    return [each["event"] for each in logs if each["log_level"] == "warning" and each["event"].startswith("billing.")]


def ambiguous_price(payer: Payer) -> str:
    """A price of our own product that names a plan which does not exist."""
    product = PlanPrice.objects.get(stripe_price_id=price_of()).stripe_product_id
    return make_price(payer.world, product=product, metadata={"contextmcp_plan": "pro-special"})


def test_plan_is_kept_while_a_price_of_our_product_is_unregistered(payer):
    payer.buy()
    assert reprice(payer, ambiguous_price(payer)) == ["billing.unknown_price"]
    assert (payer.plan, payer.state.plan, payer.state.unit_amount) == ("pro", "pro", 700)
    payer.later(35)
    payer.later(35)
    assert (payer.plan, payer.state.status) == ("pro", "active")
    run = reconciliation.reconcile(payer.organization)
    assert [drift.subject for drift in Drift.objects.filter(run=run, kind="unknown_price")] == [payer.state.stripe_price_id]


def test_a_kept_plan_ends_with_the_subscription(payer):
    payer.buy("enterprise")
    price = ambiguous_price(payer)
    reprice(payer, price)
    assert payer.plan == "enterprise"
    prices.register_price(PlanPrice.objects.get(stripe_price_id=price_of()).plan_version, price, None)
    payer.world.deliver()
    assert payer.plan == "pro"
    payer.world.sdk.subscriptions.cancel(payer.state.stripe_subscription_id)
    payer.world.deliver()
    assert payer.plan == "free"


def test_unknown_price_grants_no_plan(payer):
    assert "billing.unknown_price" in subscribe(payer, ambiguous_price(payer))
    assert payer.plan == "free"


def test_staff_can_register_only_unregistered_prices(payer):
    for price_id in (price_of(), "price_nothing", make_price(payer.world, recurring=None)):
        with pytest.raises(prices.ValidationFailed):
            prices.require_registrable_price(price_id)


def buy_by_link(world, price: str, **more) -> str:
    """As a payment link does: Checkout creates a customer that names no organization. Return its ID."""
    line = {"price": price, "quantity": 1}
    urls = {"success_url": "http://shop.test/done", "cancel_url": "http://shop.test/"}
    session = world.sdk.checkout.sessions.create({"mode": "subscription", "line_items": [line], **urls, **more})
    assert requests.post(session.url, data={**CARD, "cardNumber": "4242424242424242"}, allow_redirects=False, timeout=30).is_redirect
    world.deliver()
    return world.sdk.checkout.sessions.retrieve(session.id).customer


def customer_of(organization: Organization) -> str | None:
    account = BillingAccount.objects.filter(organization=organization).first()
    return account.stripe_customer_id if account else None


def test_a_purchase_that_names_its_organization_is_linked(stripe_world, acme):
    customer = buy_by_link(stripe_world, price_of(), client_reference_id=str(acme.pk))
    assert (customer_of(acme), plan_of(acme)) == (customer, "pro")


def test_a_purchase_by_an_owners_confirmed_address_is_linked(stripe_world):
    organization = OrganizationFactory(owner=UserFactory(email="ann@example.com"))
    customer = buy_by_link(stripe_world, price_of())
    assert (customer_of(organization), plan_of(organization)) == (customer, "pro")


def test_a_purchase_replaces_a_customer_that_never_paid(payer):
    customer = buy_by_link(payer.world, price_of(), client_reference_id=str(payer.organization.pk))
    assert (customer_of(payer.organization), payer.plan) == (customer, "pro")


def test_paying_organization_gets_no_second_customer(payer):
    payer.buy()
    with capture_logs() as logs:
        buy_by_link(payer.world, price_of("enterprise"), client_reference_id=str(payer.organization.pk))
    assert (customer_of(payer.organization), payer.plan) == (payer.customer, "pro")
    assert "billing.unlinked_purchase" in [each["event"] for each in logs]


@pytest.mark.parametrize("reference", ["", "order 42", "0192f0c1-5a52-7a6d-925a-895618c9074c"])
def test_purchase_without_organization_is_reported_now_and_nightly(stripe_world, reference):
    with capture_logs() as logs:
        customer = buy_by_link(stripe_world, price_of(), **({"client_reference_id": reference} if reference else {}))
    assert "billing.unlinked_purchase" in [each["event"] for each in logs]
    run = reconciliation.reconcile()
    assert [drift.expected for drift in Drift.objects.filter(run=run, kind="unlinked_purchase")] == [{"customer": customer}]


def test_an_ambiguous_owner_is_not_linked(stripe_world):
    owner = UserFactory(email="ann@example.com")
    both = [OrganizationFactory(owner=owner), OrganizationFactory(owner=owner)]
    buy_by_link(stripe_world, price_of())
    assert [plan_of(each) for each in both] == ["free", "free"]
