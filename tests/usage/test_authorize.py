"""Authorize requests over HTTP."""

import pytest

from entitlements.manager import EntitlementsManager
from tests.factories.accounts import key_of
from tests.factories.usage import UsageCounterFactory, UsageGaugeFactory, subscribe
from tests.support.api import problem
from usage.models import UsageCounter, UsageEvent, UsageGauge, UsageSummary

URL = "/api/usage/authorize"


def used(organization, feature="sessions"):
    return sum(UsageCounter.objects.filter(organization=organization, feature=feature).values_list("used", flat=True))


def test_one_unit_is_counted_and_remaining_returned(api, owner, acme):
    response = api.post(URL, {"feature": "sessions"}, by=owner)
    assert response.status_code == 200, response.content
    data = response.json()
    period = EntitlementsManager(acme).require("sessions").period(acme.created_at)
    resets = data.pop("resetsAt")
    assert data == {
        "allowed": True,
        "recorded": True,
        "feature": "sessions",
        "kind": "quota",
        "amount": 1,
        "used": 1,
        "limit": 50,
        "remaining": 49,
        "overage": 0,
    }
    assert resets == period.end.isoformat().replace("+00:00", "Z")
    assert used(acme) == 1
    event = UsageEvent.objects.get(organization=acme)
    assert (event.feature, event.amount, event.member_id) == ("sessions", 1, owner.user.pk)
    assert [
        (row.grain, row.amount, row.events, row.key_id) for row in UsageSummary.objects.filter(organization=acme).order_by("grain")
    ] == [
        ("d", 1, 1, event.key_id),
        ("h", 1, 1, event.key_id),
    ]


def test_headers_contain_the_limits(api, owner):
    response = api.post(URL, {"feature": "sessions"}, by=owner)
    assert response["RateLimit-Policy"] == '"sessions";q=50'
    assert response["RateLimit"].startswith('"sessions";r=49;t=')


def test_requests_beyond_the_quota_are_refused_and_not_counted(api, owner, acme):
    UsageCounterFactory(organization=acme, used=50)
    response = api.post(URL, {"feature": "sessions"}, by=owner)
    assert problem(response) == (429, "quota_exceeded")
    data = response.json()
    assert (data["limit"], data["used"], data["remaining"], data["feature"]) == (50, 50, 0, "sessions")
    assert data["upgradeUrl"] == "http://localhost:3001/pricing/"
    assert int(response["Retry-After"]) == data["retryAfter"] > 27 * 86_400
    assert response["RateLimit"].startswith('"sessions";r=0;t=')
    assert used(acme) == 50
    assert not UsageEvent.objects.filter(organization=acme).exists()


def test_an_amount_is_counted_completely_or_not_at_all(api, owner, acme):
    UsageCounterFactory(organization=acme, used=45)
    assert problem(api.post(URL, {"feature": "sessions", "amount": 6}, by=owner)) == (429, "quota_exceeded")
    assert api.post(URL, {"feature": "sessions", "amount": 5}, by=owner).json()["remaining"] == 0


def test_refusals_contain_remaining_and_a_useful_retry_after(api, owner, acme):
    UsageCounterFactory(organization=acme, used=26)
    some = api.post(URL, {"feature": "sessions", "amount": 40}, by=owner)
    assert "24 of 50 are left" in some.json()["detail"]
    assert "Retry-After" in some
    never = api.post(URL, {"feature": "sessions", "amount": 51}, by=owner)
    assert problem(never) == (429, "quota_exceeded")
    assert "retryAfter" not in never.json()
    assert "Retry-After" not in never


def test_a_boolean_feature_must_be_in_the_plan(api, owner, acme):
    assert api.post(URL, {"feature": "basic_context"}, by=owner).json()["allowed"] is True
    response = api.post(URL, {"feature": "git_integration"}, by=owner)
    assert problem(response) == (403, "feature_not_available")
    assert response.json()["availableIn"] == "pro"
    assert not UsageCounter.objects.filter(organization=acme).exists()


def test_a_rate_limit_of_zero_is_not_available(api, owner):
    assert problem(api.post(URL, {"feature": "git_webhooks"}, by=owner)) == (403, "feature_not_available")


def test_an_unlimited_plan_counts_usage(api, owner, acme):
    subscribe(acme, "enterprise")
    data = api.post(URL, {"feature": "sessions", "amount": 100_000}, by=owner).json()
    assert (data["used"], data["limit"], data["remaining"]) == (100_000, None, None)


def test_a_rate_limit_applies_within_the_window(api, owner):
    for remaining in reversed(range(10)):
        data = api.post(URL, {"feature": "session_creation"}, by=owner).json()
        assert (data["kind"], data["limit"], data["remaining"]) == ("rate_limit", 10, remaining)
    response = api.post(URL, {"feature": "session_creation"}, by=owner)
    assert problem(response) == (429, "rate_limited")
    data = response.json()
    assert (data["limit"], data["used"], data["windowSeconds"], data["scope"]) == (10, 10, 60, "organization")
    assert 55 <= data["retryAfter"] <= 62
    assert response["Retry-After"] == str(data["retryAfter"])


def test_an_amount_above_the_rate_limit_has_no_retry_after(api, owner):
    response = api.post(URL, {"feature": "session_creation", "amount": 11}, by=owner)
    assert problem(response) == (429, "rate_limited")
    assert "retryAfter" not in response.json()


def test_items_are_all_counted_or_none(api, owner, acme):
    both = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}
    data = api.post(URL, both, by=owner).json()
    assert data["allowed"] is True
    assert [(item["feature"], item["remaining"]) for item in data["items"]] == [("sessions", 49), ("session_creation", 9)]
    UsageCounter.objects.filter(organization=acme).update(used=50)
    for _ in range(12):  # The rate limit is released each time. Otherwise it would refuse in the end.
        assert problem(api.post(URL, both, by=owner)) == (429, "quota_exceeded")
    assert api.post(URL, {"feature": "session_creation"}, by=owner).json()["used"] == 2


def test_a_refused_rate_uses_no_quota(api, owner, acme):
    api.post(URL, {"feature": "session_creation", "amount": 10}, by=owner)
    both = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}
    assert problem(api.post(URL, both, by=owner)) == (429, "rate_limited")
    assert used(acme) == 0


def test_repeated_features_in_one_call_are_summed(api, owner, acme):
    UsageCounterFactory(organization=acme, used=48)
    assert problem(api.post(URL, {"items": [{"feature": "sessions"}, {"feature": "sessions", "amount": 2}]}, by=owner)) == (
        429,
        "quota_exceeded",
    )
    assert used(acme) == 48
    assert api.post(URL, {"items": [{"feature": "sessions"}, {"feature": "sessions"}]}, by=owner).json()["items"][1]["remaining"] == 0


def test_repeated_rate_limits_in_one_call_are_summed(api, owner):
    body = {"items": [{"feature": "context_queries", "amount": 12}] * 2}
    first = api.post(URL, body, by=owner).json()
    assert [item["used"] for item in first["items"]] == [12, 24]
    assert problem(api.post(URL, body, by=owner)) == (429, "rate_limited")
    assert api.post(URL, {"feature": "context_queries", "amount": 6}, by=owner).json()["used"] == 30
    never = api.post(URL, {"items": [{"feature": "context_queries", "amount": 30}] * 20}, by=owner)
    assert problem(never) == (429, "rate_limited")


@pytest.mark.parametrize("key", ["01 02 03 04 7" + "a" * 19, "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa", "0" * 12 + "7" + "g" * 19])
def test_any_printable_idempotency_key_is_accepted(api, owner, acme, key):
    for _ in range(2):
        assert api.post(URL, {"feature": "sessions"}, by=owner, idempotency_key=key).status_code == 200
    assert used(acme) == 1


def test_gauge_is_increased(api, owner, acme):
    data = api.post(URL, {"feature": "projects"}, by=owner).json()
    assert (data["kind"], data["used"], data["limit"], data["remaining"], data["resetsAt"]) == ("gauge", 1, 1, 0, None)
    response = api.post(URL, {"feature": "projects"}, by=owner)
    assert problem(response) == (429, "limit_reached")
    assert "Retry-After" not in response
    assert UsageGauge.objects.get(organization=acme).value == 1
    assert not UsageEvent.objects.filter(organization=acme).exists()


def test_the_members_gauge_is_derived(api, owner, acme, member):
    assert problem(api.post(URL, {"feature": "team_members"}, by=owner)) == (429, "limit_reached")
    subscribe(acme)
    assert api.post(URL, {"feature": "team_members"}, by=owner).json()["used"] == 3
    assert api.post(URL, {"feature": "team_members"}, by=owner).json()["used"] == 3
    assert not UsageGauge.objects.filter(organization=acme).exists()


def test_all_kinds_of_features_in_one_call(api, owner, acme):
    UsageGaugeFactory(organization=acme, feature="best_practices", value=9)
    items = [{"feature": name} for name in ("basic_context", "context_queries", "best_practices", "sessions")]
    assert [item["remaining"] for item in api.post(URL, {"items": items}, by=owner).json()["items"]] == [None, 29, 0, 49]
    assert problem(api.post(URL, {"items": items}, by=owner)) == (429, "limit_reached")
    assert used(acme) == 1


def test_a_plan_change_keeps_usage_and_applies_the_new_limit(api, owner, acme):
    subscribe(acme)
    UsageCounterFactory(organization=acme, used=1000)
    assert problem(api.post(URL, {"feature": "sessions"}, by=owner)) == (429, "quota_exceeded")
    anchor = EntitlementsManager(acme).entitlements().anchor
    subscribe(acme, "enterprise", starts_at=anchor)
    assert api.post(URL, {"feature": "sessions"}, by=owner).json()["used"] == 1001


def test_usage_on_free_does_not_count_for_a_subscription(api, owner, acme):
    UsageCounterFactory(organization=acme, used=50)
    subscribe(acme)
    assert api.post(URL, {"feature": "sessions"}, by=owner).json()["used"] == 1


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["owner", "admin", "member"])
def test_members_admins_and_owners_are_allowed(api, request, role):
    assert api.post(URL, {"feature": "sessions"}, by=request.getfixturevalue(role)).status_code == 200


def test_a_viewer_is_refused(api, acme, viewer):
    key = key_of(viewer.membership, ["usage:write"])
    assert problem(api.post(URL, {"feature": "sessions"}, by=key)) == (403, "permission_denied")
    assert used(acme) == 0


def test_a_key_without_the_scope_is_refused(api, owner):
    key = key_of(owner.membership, ["usage:read"])
    assert problem(api.post(URL, {"feature": "sessions"}, by=key)) == (403, "insufficient_scope")


def test_usage_counts_for_the_callers_organization(api, acme, stranger):
    assert api.post(URL, {"feature": "sessions"}, by=stranger).status_code == 200
    assert used(acme) == 0
    assert used(stranger.organization) == 1


def test_anonymous_callers_are_refused(api, db):
    assert problem(api.post(URL, {"feature": "sessions"}))[0] == 401
