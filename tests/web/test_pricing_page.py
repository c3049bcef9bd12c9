"""The pricing page: buttons for each visitor, data for search engines, and the interval that it opens on."""

import json
import re

import pytest
from django.urls import reverse

from billing.manager import BillingManager
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import UserFactory
from tests.factories.billing import Payer


@pytest.fixture
def payer(stripe_world, acme) -> Payer:
    return Payer.make(stripe_world, acme)


def buttons(page, plan):
    """Return the texts and URLs of a card's buttons: by month and by year."""
    card = re.search(rf'aria-labelledby="plan-{plan}">.*?</section>', page, re.DOTALL)[0]
    found = re.findall(r'<(?:a|span) class="button[^"]*"(?: href="([^"]*)")?>([^<]*)<', card)
    return [(text, url.replace("&amp;", "&")) for url, text in found]


def test_search_engines_read_the_offers_and_link_previews_the_description(db, client, settings):
    settings.PRODUCT_TAGLINE = "Context </script> & more"
    page = client.get(reverse("pricing")).text
    (block,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page)
    document = json.loads(block)
    assert (document["@type"], document["name"], document["description"]) == ("Product", "ContextMCP", "Context </script> & more")
    offers = {(offer["name"], offer["price"], offer["priceCurrency"]) for offer in document["offers"]}
    assert offers == {
        ("Free", "0", "USD"),
        ("Pro", "9.00", "USD"),
        ("Pro", "90.00", "USD"),
        ("Enterprise", "29.00", "USD"),
        ("Enterprise", "290.00", "USD"),
    }
    yearly = next(offer for offer in document["offers"] if offer["price"] == "90.00")
    assert (yearly["priceSpecification"]["billingDuration"], yearly["priceSpecification"]["unitCode"]) == (1, "ANN")
    assert f'<link rel="canonical" href="{settings.PUBLIC_URL}/pricing/">' in page
    for name in ('name="description"', 'property="og:description"', 'property="og:title"', 'property="og:url"', 'property="og:type"'):
        assert f"<meta {name} content=" in page, name
    assert "paid plans from $9 per month." in page


def test_the_buttons_of_a_visitor(db, client, sign_in):
    page = client.get(reverse("pricing")).text
    assert buttons(page, "free") == [("Start free", "/accounts/signup/")]
    assert buttons(page, "pro") == [
        ("Start 14-day trial", "/account/billing/choose/?plan=pro&interval=month"),
        ("Start 14-day trial", "/account/billing/choose/?plan=pro&interval=year"),
    ]
    without = sign_in(UserFactory()).get(reverse("pricing")).text
    assert buttons(without, "pro")[0] == ("Create organization", reverse("new-organization"))


def test_the_buttons_of_a_monthly_subscriber(payer, people, sign_in):
    payer.buy()
    for name in ("pricing", "billing"):
        page = sign_in(people["owner"]).get(reverse(name)).text
        assert buttons(page, "free") == [("Downgrade", reverse("cancel-plan"))]
        assert buttons(page, "pro") == [("Current plan", ""), ("Switch to yearly", "/account/billing/change/?plan=pro&interval=year")]
        assert buttons(page, "enterprise") == [
            ("Upgrade", "/account/billing/change/?plan=enterprise&interval=month"),
            ("Upgrade", "/account/billing/change/?plan=enterprise&interval=year"),
        ]
    viewer = sign_in(people["viewer"]).get(reverse("pricing")).text
    assert buttons(viewer, "pro")[1] == ("Only owners can change plans", "")
    assert "Pro renews on" in viewer


def test_the_buttons_of_a_yearly_subscriber_with_a_scheduled_change(payer, owner, sign_in):
    payer.buy("enterprise", "year")
    BillingManager(payer.organization).change_plan("pro", "month")
    page = sign_in(owner).get(reverse("pricing")).text
    assert 'id="yearly" checked' in page and 'id="monthly" checked' not in page
    assert buttons(page, "pro") == [("Scheduled", ""), ("Downgrade", "/account/billing/change/?plan=pro&interval=year")]
    assert buttons(page, "enterprise") == [
        ("Switch to monthly", "/account/billing/change/?plan=enterprise&interval=month"),
        ("Current plan", ""),
    ]
    assert "Your plan changes from Enterprise to Pro on" in page
    assert re.search(r'Pro <span class="tag">From \w+ \d+, \d+</span>', page)


def test_who_cannot_change_the_plan_is_led_to_billing(payer, owner, sign_in):
    payer.buy()
    payer.declines()
    payer.later(32)
    client = sign_in(owner)
    assert buttons(client.get(reverse("pricing")).text, "enterprise")[0] == ("Manage plan", reverse("billing"))
    assert "Change plan" not in client.get(reverse("billing")).text


def test_a_plan_that_staff_gave_is_not_the_one_that_is_paid(payer, owner, sign_in):
    payer.buy()
    EntitlementsManager(payer.organization).grant("enterprise", reason="x")
    page = sign_in(owner).get(reverse("pricing")).text
    assert buttons(page, "pro")[0] == ("Your subscription", "")
    assert buttons(page, "enterprise")[0][0] == "Upgrade"


def test_the_interval_of_the_link_is_opened(db, client):
    assert 'id="yearly" checked' in client.get(reverse("pricing"), {"interval": "year"}).text
    assert 'id="monthly" checked' in client.get(reverse("pricing"), {"interval": "x"}).text
