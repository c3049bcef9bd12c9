"""Corrections subtract at most what was counted; only a credit increases the allowance."""

from datetime import timedelta

import pytest

from accounts.models import AuditEvent
from contextmcp.common.clock import now
from tests.factories.service_keys import service_key
from tests.factories.usage import OverageSettingFactory, UsageCounterFactory, UsageGaugeFactory, subscribe
from tests.support.api import problem
from tests.support.gates import Http, gate_process
from usage import selectors
from usage.models import UsageCounter, UsageEvent, UsageSummary
from usage.tracker import UsageTracker

pytestmark = pytest.mark.django_db
EVENTS, AUTHORIZE, CHECK = "/api/usage/events", "/api/usage/authorize", "/api/entitlements/check"
CURRENT = "/api/usage/current"
CLOUD = {"specversion": "1.0", "id": "1", "source": "/mcp", "type": "sessions"}


def correction(amount, **more):
    return {"feature": "sessions", "amount": amount, "reason": "counted twice", **more}


def sessions(api, by, feature="sessions"):
    return next(one for one in api.get(CURRENT, by=by).json()["usage"] if one["feature"] == feature)


def admitted(api, by, most=70):
    """Return how many sessions are allowed one by one."""
    return next((number for number in range(most) if api.post(AUTHORIZE, {"feature": "sessions"}, by=by).status_code == 429), most)


def test_a_correction_without_usage_subtracts_nothing(api, owner, acme):
    data = api.post(EVENTS, correction(-5), by=owner).json()
    assert data["results"] == [{"status": "accepted", "applied": 0}]
    decision = api.post(CHECK, {"feature": "sessions"}, by=owner).json()
    assert (decision["used"], decision["remaining"]) == (0, 50)
    assert problem(api.post(AUTHORIZE, {"feature": "sessions", "amount": 51}, by=owner))[1] == "quota_exceeded"
    assert admitted(api, owner) == 50
    assert not UsageEvent.objects.filter(organization=acme, amount__lt=0).exists()


def test_corrections_in_a_batch_are_limited_by_earlier_events(api, owner, acme):
    api.post(EVENTS, {"feature": "sessions", "amount": 3}, by=owner)
    results = api.post(EVENTS, {"events": [correction(amount) for amount in (-2, -2, 4, -5, -1)]}, by=owner).json()["results"]
    assert [one["status"] for one in results] == ["accepted"] * 5
    assert [one.get("applied") for one in results] == [-2, -1, None, -4, 0]
    assert sessions(api, owner)["used"] == 0
    history = api.get("/api/usage/history", by=owner).json()["data"]
    assert [row["amount"] for row in history] == [0]
    assert sum(UsageEvent.objects.filter(organization=acme).values_list("amount", flat=True)) == 0
    assert {row.amount for row in UsageSummary.objects.filter(organization=acme)} == {0}
    assert AuditEvent.objects.get(action="usage.corrected").after == {"sessions": -7}


def test_a_repeated_correction_counts_once(api, owner):
    api.post(EVENTS, {"feature": "sessions", "amount": 9}, by=owner)
    for status in ("accepted", "duplicate"):
        data = api.post(EVENTS, correction(-5, idempotencyKey="fix"), by=owner).json()
        assert data["results"][0]["status"] == status
    assert sessions(api, owner)["used"] == 4


def test_a_negative_counter_admits_no_more_than_the_limit(api, owner, acme):
    UsageCounterFactory(organization=acme, used=-7)
    usage = sessions(api, owner)
    assert (usage["used"], usage["remaining"]) == (0, 50)
    assert api.post(CHECK, {"feature": "sessions"}, by=owner).json()["remaining"] == 50
    assert [api.post(AUTHORIZE, {"feature": "sessions"}, by=owner).json()["used"] for _ in range(3)] == [1, 2, 3]
    assert admitted(api, owner) == 47


def test_a_correction_does_not_lower_a_negative_counter(api, owner, acme):
    UsageCounterFactory(organization=acme, used=-7)
    assert api.post(EVENTS, correction(-5), by=owner).json()["results"][0]["applied"] == 0
    assert api.post(EVENTS, {"feature": "sessions", "amount": 2}, by=owner).json()["accepted"] == 1
    assert UsageCounter.objects.get(organization=acme).used == 2


def test_holds_do_not_count_as_used_for_a_correction(api, owner):
    api.post(AUTHORIZE, {"feature": "sessions", "amount": 10, "hold": True}, by=owner)
    assert api.post(EVENTS, correction(-5), by=owner).json()["results"][0]["applied"] == 0
    assert sessions(api, owner)["remaining"] == 40


def test_a_late_correction_is_limited_by_its_period(api, owner, acme):
    acme.created_at = now() - timedelta(days=90)
    acme.save(update_fields=["created_at"])
    late = (now() - timedelta(days=34)).isoformat()
    api.post(EVENTS, {"feature": "sessions", "amount": 5}, by=owner)
    api.post(EVENTS, {"feature": "sessions", "amount": 2, "occurredAt": late}, by=owner)
    data = api.post(EVENTS, correction(-4, occurredAt=late), by=owner).json()
    assert data["results"][0]["applied"] == -2
    assert sessions(api, owner)["used"] == 5


def test_corrections_of_a_rate_meter_are_limited(api, owner):
    api.post(EVENTS, {"feature": "context_queries", "amount": 3}, by=owner)
    fix = {"feature": "context_queries", "amount": -2, "reason": "r"}
    results = api.post(EVENTS, {"events": [fix, fix, fix]}, by=owner).json()["results"]
    assert [one["applied"] for one in results] == [-2, -1, 0]
    assert [row["amount"] for row in api.get("/api/usage/history", by=owner).json()["data"]] == [0]
    used = [api.post(AUTHORIZE, {"feature": "context_queries", "amount": 10}, by=owner).status_code for _ in range(4)]
    assert used == [200, 200, 200, 429]


def test_a_credit_extends_the_allowance_of_its_period(api, owner, acme):
    api.post(EVENTS, {"feature": "sessions", "amount": 3}, by=owner)
    assert api.post(EVENTS, correction(-5, credit=True, reason="an outage"), by=owner).json()["results"] == [{"status": "accepted"}]
    usage = sessions(api, owner)
    assert (usage["used"], usage["included"], usage["credited"], usage["remaining"]) == (3, 55, 5, 52)
    decision = api.post(CHECK, {"feature": "sessions"}, by=owner).json()
    assert (decision["limit"], decision["remaining"]) == (55, 52)
    assert admitted(api, owner) == 52
    event = AuditEvent.objects.get(action="usage.credited")
    assert (event.after, event.reason) == ({"sessions": 5}, "an outage")
    assert event.actor_service_key is not None


def test_a_credit_that_is_repeated_counts_once_and_is_not_a_correction(api, owner):
    for _ in range(2):
        api.post(EVENTS, correction(-5, credit=True, idempotencyKey="gift"), by=owner)
    assert sessions(api, owner)["credited"] == 5
    assert problem(api.post(EVENTS, correction(-5, idempotencyKey="gift"), by=owner)) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"feature": "sessions", "amount": -5, "credit": True}, "reason"),
        ({"feature": "sessions", "amount": 5, "credit": True, "reason": "r"}, "credit"),
        ({"feature": "context_queries", "amount": -5, "credit": True, "reason": "r"}, "credit"),
        ({"feature": "sessions", "amount": -5, "credit": 1, "reason": "r"}, "credit"),
    ],
)
def test_a_credit_needs_a_reason_and_a_quota(api, owner, body, field):
    response = api.post(EVENTS, body, by=owner)
    assert problem(response) == (422, "validation_error")
    assert response.json()["errors"][0]["field"] == field


def test_a_cloud_event_can_be_a_credit(api, owner):
    event = {**CLOUD, "data": {"amount": -5, "reason": "an outage", "credit": True}}
    assert api.post(EVENTS, event, by=owner, content_type="application/cloudevents+json").json()["accepted"] == 1
    assert sessions(api, owner)["credited"] == 5


def test_a_credit_reduces_overage(owner, acme):
    subscribe(acme)
    entitlement = UsageTracker(acme).entitlements.require("sessions")
    UsageCounterFactory(organization=acme, used=1010, credited=4)
    OverageSettingFactory(organization=acme, cap_minor=20)
    assert selectors.overage_units(acme, entitlement, entitlement.period(now())) == 6
    assert UsageTracker(acme).consume("sessions", 4).overage == 10


def test_changes_by_a_service_key_are_audited(api, owner, acme):
    api.put("/api/usage/gauges/projects", {"value": 3}, by=owner)
    api.put("/api/usage/gauges/projects", {"value": 3}, by=owner)
    stated = AuditEvent.objects.get(action="usage.gauge_set")
    assert (stated.before, stated.after) == ({"value": 0}, {"feature": "projects", "value": 3})
    for _ in range(2):
        api.post("/api/usage/gauges/projects/release", {"amount": 2}, by=owner, idempotency_key="once")
    released = AuditEvent.objects.get(action="usage.gauge_decreased")
    assert released.after == {"feature": "projects", "released": 2, "value": 1}
    hold = api.post(AUTHORIZE, {"feature": "sessions", "amount": 5, "hold": True}, by=owner).json()["hold"]["id"]
    api.post(f"/api/usage/holds/{hold}/release", by=owner)
    ended = AuditEvent.objects.get(action="usage.hold_ended")
    assert ended.after == {"feature": "sessions", "held": 5, "settled": 0}
    assert {one.actor_service_key_id for one in (stated, released, ended)} != {None}


@pytest.mark.django_db(transaction=True)
def test_the_gate_limits_corrections_and_credits(acme, owner):
    name = {"organizationId": str(acme.pk)}
    UsageGaugeFactory(organization=acme, value=1)
    owner.key  # noqa: B018 - creates the key before the server runs
    with gate_process() as gate:
        http = Http(gate.port)
        assert http.post(EVENTS, correction(-5, **name), key=service_key())[2]["results"] == [{"status": "accepted", "applied": 0}]
        assert http.post(CHECK, {"feature": "sessions"}, key=owner.key)[2]["remaining"] == 50
        UsageCounter.objects.update(used=-7)
        assert http.post(CHECK, {"feature": "sessions"}, key=owner.key)[2]["remaining"] == 50
        assert http.post(AUTHORIZE, {"feature": "sessions"}, key=owner.key)[2]["used"] == 1
        assert http.post(EVENTS, correction(-5, credit=True, **name), key=service_key())[2]["accepted"] == 1
        assert http.post(AUTHORIZE, {"feature": "sessions"}, key=owner.key)[2]["remaining"] == 53
        usage = next(one for one in http.request("GET", CURRENT, key=owner.key)[2]["usage"] if one["feature"] == "sessions")
        assert (usage["used"], usage["credited"], usage["remaining"]) == (2, 5, 53)
        assert AuditEvent.objects.get(action="usage.credited").after == {"sessions": 5}
