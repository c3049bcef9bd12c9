"""Check requests, which record nothing."""

import pytest

from tests.factories.usage import OverageSettingFactory, UsageCounterFactory, UsageGaugeFactory, subscribe
from tests.support.api import problem
from usage.models import UsageCounter, UsageEvent, UsageGauge

URL = "/api/entitlements/check"


def test_a_check_returns_remaining_and_counts_nothing(api, owner, acme):
    UsageCounterFactory(organization=acme, used=12)
    for _ in range(2):
        data = api.post(URL, {"feature": "sessions", "amount": 3}, by=owner).json()
    assert data.pop("resetsAt")
    assert data == {
        "allowed": True,
        "code": None,
        "feature": "sessions",
        "kind": "quota",
        "amount": 3,
        "used": 12,
        "limit": 50,
        "remaining": 38,
        "overage": 0,
        "plan": "free",
    }
    assert UsageCounter.objects.get(organization=acme).used == 12
    assert not UsageEvent.objects.filter(organization=acme).exists()


def test_without_usage_the_whole_quota_remains(api, owner, acme):
    data = api.post(URL, {"feature": "sessions"}, by=owner).json()
    assert (data["allowed"], data["used"], data["remaining"]) == (True, 0, 50)
    assert not UsageCounter.objects.filter(organization=acme).exists()


@pytest.mark.parametrize(
    ("feature", "code"), [("sessions", "quota_exceeded"), ("projects", "limit_reached"), ("git_integration", "feature_not_available")]
)
def test_a_refused_check_returns_200(api, owner, acme, feature, code):
    UsageCounterFactory(organization=acme, used=50)
    UsageGaugeFactory(organization=acme, value=1)
    response = api.post(URL, {"feature": feature}, by=owner)
    assert response.status_code == 200
    data = response.json()
    assert (data["allowed"], data["code"], data["upgradeUrl"]) == (False, code, "http://localhost:3001/pricing/")
    assert data["detail"]


def test_check_of_a_rate_limit_consumes_nothing(api, owner):
    for _ in range(15):
        data = api.post(URL, {"feature": "session_creation", "amount": 10}, by=owner).json()
    assert (data["allowed"], data["used"], data["remaining"]) == (True, 0, 10)
    api.post("/api/usage/authorize", {"feature": "session_creation", "amount": 9}, by=owner)
    assert api.post(URL, {"feature": "session_creation"}, by=owner).json()["remaining"] == 1
    data = api.post(URL, {"feature": "session_creation", "amount": 2}, by=owner).json()
    assert (data["allowed"], data["code"], data["used"]) == (False, "rate_limited", 9)
    assert 1 <= data["retryAfter"] <= 62


def test_gauges_members_booleans_and_unlimited_features(api, owner, acme, member):
    assert api.post(URL, {"feature": "best_practices", "amount": 10}, by=owner).json()["remaining"] == 10
    assert api.post(URL, {"feature": "team_members"}, by=owner).json()["used"] == 2
    data = api.post(URL, {"feature": "basic_context"}, by=owner).json()
    assert (data["allowed"], data["kind"], data["limit"]) == (True, "boolean", None)
    subscribe(acme, "enterprise")
    data = api.post(URL, {"feature": "sessions", "amount": 10**9}, by=owner).json()
    assert (data["allowed"], data["used"], data["remaining"]) == (True, 0, None)
    assert not UsageGauge.objects.filter(organization=acme).exists()


def test_overage_is_allowed_within_the_cap(api, owner, acme):
    subscribe(acme)
    UsageCounterFactory(organization=acme, used=1001)
    OverageSettingFactory(organization=acme, cap_minor=10)
    data = api.post(URL, {"feature": "sessions", "amount": 4}, by=owner).json()
    assert (data["allowed"], data["used"], data["overage"], data["remaining"]) == (True, 1001, 1, 0)
    assert api.post(URL, {"feature": "sessions", "amount": 5}, by=owner).json()["code"] == "overage_cap_reached"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"feature": "nonsense"},
        {"feature": ""},
        {"feature": "x" * 65},
        {"feature": 1},
        {"feature": "sessions", "amount": 0},
        {"feature": "sessions", "amount": 10**10},
        {"feature": "sessions", "hold": True},
        [],
        "text",
        None,
    ],
)
def test_bad_input_is_refused(api, owner, body):
    assert problem(api.post(URL, body, by=owner)) == (422, "validation_error")


def test_only_permitted_callers_can_check(api, owner, admin, member, viewer, stranger):
    for person in (owner, admin, member, viewer, stranger):
        assert api.post(URL, {"feature": "sessions"}, by=person).status_code == 200
    assert problem(api.post(URL, {"feature": "sessions"}))[0] == 401
