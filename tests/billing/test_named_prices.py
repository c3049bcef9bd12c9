"""Prices that environment variables name are used as they are shown, or refused with one sentence."""

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command

from billing.catalog import publish
from billing.models import CheckoutAttempt
from tests.common.test_settings import start
from tests.support.api import problem
from tests.support.stripe import SECRET_KEY, WEBHOOK_SECRET

pytestmark = pytest.mark.django_db
CHECKOUT, PRO = "/api/billing/create-checkout-session", {"planTier": "pro", "interval": "month"}
GOOD = {"product": "contextmcp_pro", "unit_amount": 900, "currency": "usd", "recurring": {"interval": "month"}}
TIERS = [{"up_to": 10, "unit_amount": 900}, {"up_to": "inf", "unit_amount": 800}]
WRONG = [
    ({"unit_amount": 1200}, "costs 12.00 USD per month, while the catalog shows Pro at 9.00 USD"),
    ({"currency": "eur"}, "costs 9.00 EUR per month, while the catalog shows Pro at 9.00 USD"),
    ({"recurring": {"interval": "year"}}, "is charged every 1 year, not every month"),
    ({"recurring": {"interval": "month", "interval_count": 3}}, "is charged every 3 months, not every month"),
    ({"recurring": None}, "is charged once, not every month"),
    ({"unit_amount": None, "billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}, "is tiered"),
    ({"unit_amount": None, "unit_amount_decimal": "900.5"}, "costs a fraction of the currency's smallest unit"),
    ({"transform_quantity": {"divide_by": 10, "round": "up"}}, "is charged per package of units"),
    ({"product": "contextmcp_enterprise"}, "belongs to another product (contextmcp_enterprise)"),
    ({"metered": True}, "is metered"),
    ({"active": False}, "is archived"),
    ({"product": "archived"}, "belongs to the archived product"),
]


@pytest.fixture
def name(stripe_world, settings):
    """Let the environment name a monthly price for Pro that differs in this from a valid one. Return its ID."""

    def create_price(**different) -> str:
        params = GOOD | different
        if params.pop("metered", False):
            meter = stripe_world.sdk.billing.meters.list().data[0].id
            params["recurring"] = {"interval": "month", "usage_type": "metered", "meter": meter}
        archived = params["product"] == "archived"
        if archived:
            params["product"] = stripe_world.sdk.products.create({"name": "Former"}).id
        price = stripe_world.sdk.prices.create({key: value for key, value in params.items() if value is not None})
        if archived:
            stripe_world.sdk.products.update(params["product"], {"active": False})
        settings.STRIPE_PRICE_IDS = {"STRIPE_PRO_MONTHLY_PRICE_ID": price.id}
        return price.id

    return create_price


def errors() -> list[str]:
    return [message.msg for message in run_checks(tags=["billing"]) if message.id == "billing.E004"]


@pytest.mark.parametrize(("different", "reason"), WRONG, ids=[reason for _, reason in WRONG])
def test_a_price_that_differs_from_the_catalog_is_refused(name, api, owner, different, reason):
    price_id = name(**different)
    (sentence,) = errors()
    assert sentence.startswith(f"STRIPE_PRO_MONTHLY_PRICE_ID is set to {price_id}, which {reason}")
    with pytest.raises(CommandError, match="STRIPE_PRO_MONTHLY_PRICE_ID"):
        call_command("publish_catalog", "--dry-run", skip_checks=True)
    assert "conflict" in {step.state for step in publish.publish_catalog()}
    assert problem(api.post(CHECKOUT, PRO, by=owner)) == (503, "billing_not_configured")


def test_a_matching_price_is_sold(name, api, owner):
    price_id = name()
    assert errors() == []
    call_command("publish_catalog")
    assert api.post(CHECKOUT, PRO, by=owner).status_code == 200
    assert CheckoutAttempt.objects.get().request["line_items"][0]["price"] == price_id


def test_a_price_of_the_operators_product_is_sold(name, stripe_world):
    name(product=stripe_world.sdk.products.create({"name": "Pro"}).id)
    assert errors() == []


def test_one_price_cannot_be_used_twice(name, settings):
    price_id = name()
    settings.STRIPE_PRICE_IDS |= {"STRIPE_PRO_YEARLY_PRICE_ID": price_id}
    assert any(", as is STRIPE_" in sentence for sentence in errors())


def test_a_missing_price_is_refused(stripe_world, settings):
    settings.STRIPE_PRICE_IDS = {"STRIPE_PRO_MONTHLY_PRICE_ID": "price_none"}
    (sentence,) = errors()
    assert "does not exist" in sentence


def test_a_variable_that_no_price_of_the_catalog_names_is_refused(stripe_world, settings):
    settings.STRIPE_PRICE_IDS = {"STRIPE_PROO_MONTHLY_PRICE_ID": "price_1"}
    assert [message.msg for message in run_checks(tags=["billing"]) if message.id == "billing.E005"] == [
        "STRIPE_PROO_MONTHLY_PRICE_ID is set, but no price of the catalog names it as its price_id_variable. Correct the name, or unset it."
    ]


def test_a_stripe_outage_is_a_warning(stripe_world, settings):
    settings.STRIPE_PRICE_IDS = {"STRIPE_PRO_MONTHLY_PRICE_ID": "price_none"}
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    assert {message.id for message in run_checks(tags=["billing"])} == {"billing.W003"}


def test_the_web_server_does_not_start_with_a_wrong_price(name, stripe_world):
    params = {"KEY_ENVIRONMENT": "test", "STRIPE_SECRET_KEY": SECRET_KEY, "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET}
    params |= {"STRIPE_API_BASE": stripe_world.url, "STRIPE_PRO_MONTHLY_PRICE_ID": name(unit_amount=1200)}
    output = start(("-c", "import contextmcp.wsgi"), **params)
    assert output.returncode == 78
    assert "STRIPE_PRO_MONTHLY_PRICE_ID is set to" in output.stderr and "Traceback" not in output.stderr
