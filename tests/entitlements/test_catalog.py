"""The catalogue: what is sold, and what it may not say."""

import msgspec
import pytest
from django.core.exceptions import ImproperlyConfigured

from entitlements.catalog import CATALOG, Catalog, Feature, Overage, Plan, Price, Term, current
from entitlements.errors import UnknownPlan
from entitlements.terms import read, valid_value
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


def test_it_is_the_table_of_the_design():
    for name, values in AMOUNTS.items():
        assert tuple(plan.features[name].value for plan in CATALOG.plans) == values, name
    flags = [{name for name, term in plan.features.items() if term.kind is Kind.FLAG} for plan in CATALOG.plans]
    assert flags[0] == {"basic_context", "local_sessions"}
    assert flags[1] - flags[0] == set(PRO_ADDS)
    assert flags[2] - flags[1] == set(ENTERPRISE_ADDS)


def test_the_prices_are_the_designs_and_a_year_costs_17_percent_less():
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


def test_a_plan_survives_being_written_down():
    for plan in CATALOG.plans:
        assert read(msgspec.json.decode(msgspec.json.encode(plan.document()))) == plan


def test_a_plan_it_does_not_have_is_refused():
    with pytest.raises(UnknownPlan) as refusal:
        current("platinum")
    assert refusal.value.details["errors"][0]["field"] == "plan"


def test_a_plan_that_is_no_longer_sold_ranks_with_the_lowest():
    assert [CATALOG.rank(name) for name in ("free", "pro", "enterprise", "gone")] == [0, 1, 2, 0]


FEATURES = (Feature("calls", Kind.QUOTA, "Calls"), Feature("extra", Kind.FLAG, "Extra"))
FREE = Plan("free", 1, "Free", features={"calls": Term(Kind.QUOTA, 5)})


def plan(**changes):
    sold = Plan("pro", 1, "Pro", prices=(Price("month", 100, "usd"),), features={"calls": Term(Kind.QUOTA, 9)})
    return msgspec.structs.replace(sold, **changes)


@pytest.mark.parametrize(
    ("features", "plans", "said"),
    [
        ((FEATURES[0], FEATURES[0]), (FREE,), "declared twice"),
        (FEATURES, (), "There must be plans"),
        (FEATURES, (FREE, FREE), "each declared once"),
        (FEATURES, (plan(),), "no price"),
        (FEATURES, (FREE, plan(version=0)), "count from 1"),
        (FEATURES, (FREE, plan(prices=(Price("month", 0, "usd"),))), "above zero"),
        (FEATURES, (FREE, plan(prices=(Price("month", 1, "usd"), Price("month", 2, "usd")))), "one price an interval"),
        (FEATURES, (FREE, plan(prices=(Price("month", 1, "usd"), Price("year", 2, "eur")))), "one currency"),
        (FEATURES, (FREE, plan(trial_days=-1)), "has a price"),
        (FEATURES, (FREE, plan(prices=(), trial_days=5)), "has a price"),
        (FEATURES, (FREE, plan(features={"calls": Term(Kind.LIMIT, 9)})), "not declared as a limit"),
        (FEATURES, (FREE, plan(features={"calls": Term(Kind.QUOTA, -1)})), "cannot be -1"),
        (FEATURES, (FREE, plan(features={"calls": Term(Kind.QUOTA, None, Overage(1, "usd"))})), "overage needs"),
        (FEATURES, (FREE, plan(features={"calls": Term(Kind.QUOTA, 4)})), "pro has less calls than free"),
        (FEATURES, (FREE, plan(features={})), "pro has less calls than free"),
    ],
)
def test_a_catalogue_that_makes_no_sense_stops_start_up_and_says_why(features, plans, said):
    with pytest.raises(ImproperlyConfigured, match=said):
        Catalog(features, plans)


@pytest.mark.parametrize(
    ("kind", "value", "valid"),
    [
        (Kind.FLAG, True, True),
        (Kind.FLAG, 1, False),
        (Kind.FLAG, None, False),
        (Kind.LIMIT, None, True),
        (Kind.LIMIT, 0, True),
        (Kind.LIMIT, True, False),
        (Kind.QUOTA, "9", False),
        (Kind.QUOTA, 2**60, False),
    ],
)
def test_a_value_fits_its_kind(kind, value, valid):
    assert valid_value(kind, value) is valid
