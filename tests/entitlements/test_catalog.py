"""The default catalog, and the validation of catalogs."""

import msgspec
import pytest
from django.core.exceptions import ImproperlyConfigured

from entitlements.catalog import CATALOG, Catalog, Feature, FeatureValue, Overage, Plan, Price, current
from entitlements.catalog_schema import parse_plan, valid_value
from entitlements.errors import UnknownPlan
from entitlements.types import Kind

AMOUNTS = {
    "projects": (1, 10, None),
    "team_members": (1, 10, None),
    "best_practices": (10, 50, None),
    "context_cache_mb": (100, 1000, 10000),
    "sessions": (50, 1000, None),
    "context_queries": (30, 200, 1000),
    "session_creation": (10, 50, 200),
    "git_webhooks": (0, 100, 500),
}
PRO_ADDS = [
    "team_collaboration",
    "real_time_sync",
    "session_handoff",
    "git_integration",
    "webhook_processing",
    "best_practices_mgmt",
    "usage_analytics",
]
ENTERPRISE_ADDS = ["team_insights", "performance_metrics", "sso_integration", "custom_integrations", "priority_support", "white_label"]


def test_the_default_catalog_matches_the_design():
    for name, values in AMOUNTS.items():
        assert tuple(plan.features[name].value for plan in CATALOG.plans) == values, name
    flags = [{name for name, term in plan.features.items() if term.kind is Kind.BOOLEAN} for plan in CATALOG.plans]
    assert flags[0] == {"basic_context", "local_sessions"}
    assert flags[1] - flags[0] == set(PRO_ADDS)
    assert flags[2] - flags[1] == set(ENTERPRISE_ADDS)


def test_the_default_prices_match_the_design():
    assert [[(price.interval, price.amount, price.currency) for price in plan.prices] for plan in CATALOG.plans] == [
        [],
        [("month", 900, "usd"), ("year", 9000, "usd")],
        [("month", 2900, "usd"), ("year", 29000, "usd")],
    ]
    for plan in CATALOG.plans[1:]:
        assert plan.trial_days == 14
        assert round(100 - 100 * plan.price("year").amount / (12 * plan.price("month").amount)) == 17
    assert CATALOG.free.price("month") is None
    assert current("pro").features["sessions"].overage == Overage(2, "usd")


def test_a_plan_survives_serialization():
    for plan in CATALOG.plans:
        assert parse_plan(msgspec.json.decode(msgspec.json.encode(plan.document()))) == plan


def test_an_unknown_plan_is_refused():
    with pytest.raises(UnknownPlan) as refusal:
        current("platinum")
    assert refusal.value.details["errors"][0]["field"] == "plan"


def test_a_plan_that_is_no_longer_sold_ranks_with_the_lowest():
    assert [CATALOG.rank(name) for name in ("free", "pro", "enterprise", "gone")] == [0, 1, 2, 0]


FEATURES = (Feature("calls", Kind.QUOTA, "Calls"), Feature("extra", Kind.BOOLEAN, "Extra"))
FREE = Plan("free", 1, "Free", features={"calls": FeatureValue(Kind.QUOTA, 5)})
SEATS = Feature("people", Kind.GAUGE, "People", derived_from="members")


def plan(**changes):
    plan = Plan("pro", 1, "Pro", prices=(Price("month", 100, "usd"),), features={"calls": FeatureValue(Kind.QUOTA, 9)})
    return msgspec.structs.replace(plan, **changes)


@pytest.mark.parametrize(
    ("features", "plans", "message"),
    [
        ((FEATURES[0], FEATURES[0]), (FREE,), 'The feature "calls" is declared twice'),
        ((SEATS, msgspec.structs.replace(SEATS, name="staff")), (FREE,), "Only one feature can be derived from the members"),
        ((Feature("calls", Kind.QUOTA, "Calls", derived_from="members"),), (FREE,), "its kind must be gauge"),
        ((Feature("calls", Kind.QUOTA, "Calls", question="Why?"),), (FREE,), "a question without an answer"),
        (FEATURES, (), "The catalog has no plan"),
        (FEATURES, (FREE, FREE), 'The plan "free" is declared twice'),
        (FEATURES, (plan(),), "it cannot have a price"),
        (FEATURES, (FREE, plan(prices=())), "only the first plan is free"),
        (FEATURES, (FREE, plan(version=0)), "versions start at 1"),
        (FEATURES, (FREE, plan(prices=(Price("month", 0, "usd"),))), "above zero"),
        (FEATURES, (FREE, plan(prices=(Price("month", 1, "usd"), Price("month", 2, "usd")))), "more than one price for a month"),
        (FEATURES, (FREE, plan(prices=(Price("month", 1, "usd"), Price("year", 2, "eur")))), "more than one currency"),
        (FEATURES, (FREE, plan(trial_days=-1)), "a trial needs a price"),
        (FEATURES, (FREE, plan(prices=(), trial_days=5)), "a trial needs a price"),
        (FEATURES, (FREE, plan(features={"calls": FeatureValue(Kind.GAUGE, 9)})), "not declared as a feature of kind gauge"),
        (FEATURES, (FREE, plan(features={"calls": FeatureValue(Kind.QUOTA, -1)})), "cannot be -1"),
        (FEATURES, (FREE, plan(features={"calls": FeatureValue(Kind.QUOTA, None, Overage(1, "usd"))})), "needs a quota with a limit"),
        (FEATURES, (FREE, plan(features={"calls": FeatureValue(Kind.QUOTA, 9, Overage(0, "usd"))})), "a unit price above zero"),
        (FEATURES, (FREE, plan(features={"calls": FeatureValue(Kind.QUOTA, 9, Overage(1, "eur"))})), "not in the currency"),
        (FEATURES, (plan(prices=(), features={"calls": FeatureValue(Kind.QUOTA, 9, Overage(1, "eur"))}),), "the plan must have a price"),
        (FEATURES, (FREE, plan(features={"calls": FeatureValue(Kind.QUOTA, 4)})), '"pro" has less of "calls" than the plan "free"'),
        (FEATURES, (FREE, plan(features={})), '"pro" has less of "calls" than the plan "free"'),
    ],
)
def test_invalid_catalog_stops_start_up_with_its_reason(features, plans, message):
    with pytest.raises(ImproperlyConfigured, match=message):
        Catalog(features, plans)


def test_an_amount_is_followed_by_the_features_noun():
    assert [CATALOG.noun("sessions", amount) for amount in (0, 1, 2, None)] == ["sessions", "session", "sessions", "sessions"]
    assert (CATALOG.noun("context_cache_mb", 1), CATALOG.noun("no_longer_there")) == ("context cache", "no longer there")


@pytest.mark.parametrize(
    ("kind", "value", "valid"),
    [
        (Kind.BOOLEAN, True, True),
        (Kind.BOOLEAN, 1, False),
        (Kind.BOOLEAN, None, False),
        (Kind.GAUGE, None, True),
        (Kind.GAUGE, 0, True),
        (Kind.GAUGE, True, False),
        (Kind.QUOTA, "9", False),
        (Kind.QUOTA, 2**60, False),
    ],
)
def test_values_are_validated_by_kind(kind, value, valid):
    assert valid_value(kind, value) is valid
