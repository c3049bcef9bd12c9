"""Requirements for every catalog. tests/journeys/test_other_catalog.py also runs these tests with the example catalogs."""

import pytest
from django.urls import reverse

from billing.catalog import publish
from billing.models import PlanPrice
from billing.revenue import rebuild
from contextmcp.web import pricing
from contextmcp.web.entitled_seats import seat_limit
from entitlements.catalog import CATALOG
from entitlements.manager import EntitlementsManager
from entitlements.types import Kind
from tests.factories.accounts import UserFactory
from tests.factories.billing import Payer
from tests.support.api import problem
from usage.tracker import UsageTracker

pytestmark = [pytest.mark.django_db, pytest.mark.any_catalog]
AUTHORIZE = "/api/usage/authorize"
PAID = [plan for plan in CATALOG.plans if plan.prices]


@pytest.mark.parametrize("plan", CATALOG.plans, ids=lambda plan: plan.name)
def test_the_pricing_page_shows_each_plan_with_its_prices(client, plan):
    page = client.get(reverse("pricing")).text
    assert f'id="plan-{plan.name}">{plan.title}' in page
    card = next(card for card in pricing.cards() if card.plan.name == plan.name)
    for text in (plan.summary, *card.highlights, *card.adds, *(price.amount for price in card.prices), card.contact):
        assert text in page
    for question in pricing.questions():
        assert question.question in page and question.answer in page
    assert (">Recommended<" in page) is bool(CATALOG.recommended)
    assert ('id="yearly"' in page) is (len(pricing.intervals()) == 2)


@pytest.mark.parametrize("plan", CATALOG.plans, ids=lambda plan: plan.name)
def test_every_account_page_opens_on_each_plan(owner, sign_in, plan):
    if plan is not CATALOG.free:
        EntitlementsManager(owner.organization).grant(plan.name, reason="A promise")
    client = sign_in(owner)
    for name in ("account", "usage", "billing", "team", "keys", "settings", "pricing"):
        page = client.get(reverse(name))
        assert page.status_code == 200, name
    overview = client.get(reverse("account")).text
    assert plan.title in overview
    for feature in CATALOG.features:
        if feature.home and plan.grants(feature.name):
            assert f'id="m-{feature.name}"' in overview


@pytest.mark.parametrize("plan", PAID, ids=lambda plan: plan.name)
def test_a_chosen_plan_is_shown_with_its_price(owner, sign_in, plan):
    for price in plan.prices:
        page = sign_in(owner).get(reverse("choose-plan"), {"plan": plan.name, "interval": price.interval}).text
        assert f"per {price.interval}" in page and f'value="{plan.name}"' in page


def test_the_api_lists_the_catalog(api):
    plans = api.get("/api/plans").json()["data"]
    assert [plan["plan"] for plan in plans] == [plan.name for plan in CATALOG.plans]
    for result, plan in zip(plans, CATALOG.plans, strict=True):
        assert [(price["interval"], price["amount"], price["currency"]) for price in result["prices"]] == [
            (price.interval, price.amount, CATALOG.currency) for price in plan.prices
        ]
        assert {feature["feature"]: feature["included"] for feature in result["features"]} == {
            feature.name: plan.grants(feature.name) for feature in CATALOG.features
        }


@pytest.mark.parametrize("feature", CATALOG.features, ids=lambda feature: feature.name)
def test_the_first_plan_grants_exactly_its_features(api, owner, feature):
    """One call can use the whole limit. The next unit is refused with the code of the feature's kind."""
    term = CATALOG.free.features.get(feature.name)
    if term is None or not term.grants:
        assert problem(api.post(AUTHORIZE, {"feature": feature.name}, by=owner)) == (403, "feature_not_available")
        return
    amount = 1 if feature.kind is Kind.BOOLEAN or term.value is None else term.value - (1 if feature.derived_from else 0)
    if amount:
        assert api.post(AUTHORIZE, {"feature": feature.name, "amount": amount}, by=owner).status_code == 200
    if feature.kind is not Kind.BOOLEAN and term.value is not None:
        code = {Kind.QUOTA: "quota_exceeded", Kind.GAUGE: "limit_reached", Kind.RATE_LIMIT: "rate_limited"}[feature.kind]
        assert problem(api.post(AUTHORIZE, {"feature": feature.name}, by=owner)) == (429, code)


def test_seats_are_limited_only_if_the_catalog_has_such_a_feature(owner):
    limit = seat_limit(owner.organization)
    expected = None if CATALOG.seats is None else CATALOG.free.features[CATALOG.seats.name].value
    assert (limit.limit if limit else None) == expected


def test_it_is_published_to_stripe_once(stripe_world):
    prices = {(price.plan_version.plan, price.interval, price.amount) for price in PlanPrice.objects.exclude(interval=PlanPrice.OVERAGE)}
    assert prices == {(plan.name, price.interval, price.amount) for plan in PAID for price in plan.prices}
    overage = {(plan.name, name) for plan in PAID for name, term in plan.features.items() if term.overage}
    assert {(price.plan_version.plan, price.feature) for price in PlanPrice.objects.filter(interval=PlanPrice.OVERAGE)} == overage
    assert {step.state for step in publish.publish_catalog()} == {"same"}


@pytest.mark.parametrize("plan", PAID, ids=lambda plan: plan.name)
def test_checkout_starts_for_each_price(stripe_world, api, owner, plan):
    for price in plan.prices:
        answer = api.post("/api/billing/create-checkout-session", {"planTier": plan.name, "interval": price.interval}, by=owner)
        assert answer.status_code == 200 and answer.json()["url"].startswith("http")


def test_the_first_paid_plan_is_bought_and_changed_to_the_next(stripe_world, api, owner, acme):
    payer, plan = Payer.make(stripe_world, acme), PAID[0]
    price = plan.prices[0]
    payer.buy(plan.name, price.interval)
    data = api.get("/api/billing/subscription", by=owner).json()
    assert (data["plan"], data["interval"], data["amount"], data["currency"]) == (plan.name, price.interval, price.amount, CATALOG.currency)
    higher = next((each for each in PAID[1:] if each.price(price.interval)), None)
    if higher is not None:
        changed = api.post("/api/billing/change-plan", {"planTier": higher.name, "interval": price.interval}, by=owner)
        assert (changed.status_code, changed.json()["plan"]) == (200, higher.name)
        assert EntitlementsManager(acme).entitlements().plan == higher.name


def test_the_dashboard_of_staff_opens(sign_in, acme):
    if CATALOG.main_meter is not None:
        UsageTracker(acme).consume(CATALOG.main_meter.name)
    rebuild.rebuild_recent_days()
    page = sign_in(UserFactory(is_staff=True, is_superuser=True)).get(reverse("admin:index")).text
    assert "Usage by feature" in page and (CATALOG.main_meter is None or CATALOG.main_meter.title in page)
