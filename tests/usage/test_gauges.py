"""Increasing, decreasing and setting gauges."""

import pytest

from tests.factories.usage import UsageGaugeFactory, subscribe
from tests.support.api import problem
from usage.models import UsageGauge

URL = "/api/usage/gauges"


def value(organization, feature="projects"):
    return sum(UsageGauge.objects.filter(organization=organization, feature=feature).values_list("value", flat=True))


def test_a_gauge_can_be_set_above_the_limit(api, owner, acme):
    data = api.put(f"{URL}/projects", {"value": 3}, by=owner).json()
    assert data == {
        "feature": "projects",
        "kind": "gauge",
        "amount": 3,
        "used": 3,
        "limit": 1,
        "remaining": 0,
        "overage": 2,
        "resetsAt": None,
    }
    assert api.put(f"{URL}/projects", {"value": 0}, by=owner).json()["remaining"] == 1
    assert value(acme) == 0


def test_released_units_can_be_used_again(api, owner, acme):
    UsageGaugeFactory(organization=acme, value=1)
    assert problem(api.post("/api/usage/authorize", {"feature": "projects"}, by=owner))[1] == "limit_reached"
    data = api.post(f"{URL}/projects/release", by=owner).json()
    assert (data["used"], data["remaining"]) == (0, 1)
    assert api.post("/api/usage/authorize", {"feature": "projects"}, by=owner).status_code == 200


def test_more_than_in_use_cannot_be_released(api, owner, acme):
    UsageGaugeFactory(organization=acme, value=1)
    response = api.post(f"{URL}/projects/release", {"amount": 2}, by=owner)
    assert problem(response) == (409, "release_exceeds_usage")
    assert response.json()["used"] == 1
    assert problem(api.post(f"{URL}/best_practices/release", {"amount": 1}, by=owner)) == (409, "release_exceeds_usage")
    assert value(acme) == 1


def test_a_release_counts_once_per_key(api, owner, acme):
    UsageGaugeFactory(organization=acme, value=5)
    first = api.post(f"{URL}/projects/release", {"amount": 2}, by=owner, idempotency_key="r")
    again = api.post(f"{URL}/projects/release", {"amount": 2}, by=owner, idempotency_key="r")
    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"
    assert problem(api.post("/api/usage/authorize", {"feature": "projects", "amount": 2}, by=owner, idempotency_key="r"))[0] == 409
    assert value(acme) == 3


def test_an_unlimited_gauge_is_counted(api, owner, acme):
    subscribe(acme, "enterprise")
    data = api.put(f"{URL}/projects", {"value": 10_000}, by=owner).json()
    assert (data["used"], data["limit"], data["remaining"], data["overage"]) == (10_000, None, None, 0)


@pytest.mark.parametrize("feature", ["sessions", "context_queries", "basic_context", "team_members", "nonsense"])
def test_other_kinds_are_refused(api, owner, feature):
    assert problem(api.put(f"{URL}/{feature}", {"value": 1}, by=owner)) == (422, "validation_error")
    assert problem(api.post(f"{URL}/{feature}/release", {"amount": 1}, by=owner)) == (422, "validation_error")


@pytest.mark.parametrize("body", [{"value": -1}, {"value": "1"}, {}, {"value": 2**63}, [], {"value": 1, "x": 1}, {"value": None}])
def test_bad_values_are_refused(api, owner, acme, body):
    assert problem(api.put(f"{URL}/projects", body, by=owner)) == (422, "validation_error")
    assert value(acme) == 0


def test_only_permitted_callers_can_set_gauges(api, member, admin, viewer, stranger, acme):
    for person in (member, admin, stranger):
        assert api.put(f"{URL}/best_practices", {"value": 2}, by=person).status_code == 200
        assert api.post(f"{URL}/best_practices/release", {"amount": 1}, by=person).status_code == 200
    for path, send in ((f"{URL}/best_practices", api.put), (f"{URL}/best_practices/release", api.post)):
        assert problem(send(path, {"value": 2}, by=viewer))[0] == 403
        assert problem(send(path, {"value": 2}))[0] == 401
    assert value(acme, "best_practices") == 1
