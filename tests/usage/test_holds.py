"""Holds: reserve an estimated amount and settle the actual one."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from contextmcp.common.errors import NotFound
from tests.factories.usage import UsageCounterFactory
from tests.support.api import problem
from usage.errors import QuotaExceeded
from usage.models import UsageCounter, UsageEvent, UsageHold
from usage.store.holds import expire_due
from usage.tracker import UsageTracker

AUTHORIZE = "/api/usage/authorize"


def counter(organization):
    row = UsageCounter.objects.get(organization=organization)
    return row.used, row.held


def hold(api, owner, amount=5, **more):
    response = api.post(AUTHORIZE, {"feature": "sessions", "amount": amount, "hold": True, **more}, by=owner)
    assert response.status_code == 200, response.content
    return response.json()["hold"]


def end(api, owner, held, how, body=None, **options):
    return api.post(f"/api/usage/holds/{held['id']}/{how}", {} if body is None else body, by=owner, **options)


def test_a_hold_reserves_units_without_counting(api, owner, acme):
    data = api.post(AUTHORIZE, {"feature": "sessions", "amount": 50, "hold": True}, by=owner).json()
    assert (data["used"], data["remaining"]) == (50, 0)
    assert counter(acme) == (0, 50)
    assert not UsageEvent.objects.filter(organization=acme).exists()
    assert problem(api.post(AUTHORIZE, {"feature": "sessions"}, by=owner)) == (429, "quota_exceeded")
    (usage,) = [one for one in api.get("/api/usage/current", by=owner).json()["usage"] if one["feature"] == "sessions"]
    assert (usage["used"], usage["held"], usage["remaining"]) == (0, 50, 0)


@pytest.mark.parametrize("true_amount", [0, 3, 5, 60])
def test_the_settled_amount_is_counted(api, owner, acme, true_amount):
    held = hold(api, owner)
    response = end(api, owner, held, "settle", {"amount": true_amount})
    assert response.json() == {"id": held["id"], "feature": "sessions", "state": "settled", "held": 5, "settled": true_amount}
    assert counter(acme) == (true_amount, 0)
    assert [event.amount for event in UsageEvent.objects.filter(organization=acme)] == ([true_amount] if true_amount else [])


def test_a_release_counts_nothing(api, owner, acme):
    held = hold(api, owner)
    assert end(api, owner, held, "release").json()["state"] == "released"
    assert counter(acme) == (0, 0)


def test_ending_a_hold_twice_is_idempotent_and_differently_a_conflict(api, owner, acme):
    held = hold(api, owner)
    first = end(api, owner, held, "settle", {"amount": 3}, idempotency_key="s")
    assert end(api, owner, held, "settle", {"amount": 3}, idempotency_key="s").content == first.content
    assert problem(end(api, owner, held, "settle", {"amount": 4})) == (409, "hold_already_ended")
    assert problem(end(api, owner, held, "release")) == (409, "hold_already_ended")
    assert counter(acme) == (3, 0)


def test_a_due_hold_expires_when_units_are_needed(api, owner, acme):
    held = hold(api, owner, 50)
    UsageHold.objects.filter(pk=held["id"]).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert api.post(AUTHORIZE, {"feature": "sessions"}, by=owner).json()["used"] == 1
    assert counter(acme) == (1, 0)
    assert UsageHold.objects.get(pk=held["id"]).state == "expired"


def test_a_hold_expires_at_its_time(api, owner, acme):
    held, stored = hold(api, owner), hold(api, owner, 2)
    UsageHold.objects.filter(pk=held["id"]).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert expire_due() == 1
    assert counter(acme) == (0, 2)
    assert UsageHold.objects.get(pk=stored["id"]).state == "held"
    assert expire_due() == 0


def test_actual_amount_counts_after_expiry_and_a_release_does_nothing(api, owner, acme):
    settled, released = hold(api, owner), hold(api, owner)
    UsageHold.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    expire_due()
    assert end(api, owner, settled, "settle", {"amount": 4}).json()["settled"] == 4
    assert end(api, owner, released, "release").json()["state"] == "expired"
    assert counter(acme) == (4, 0)


def test_a_hold_lasts_as_long_as_requested(api, owner):
    held = hold(api, owner, holdSeconds=60)
    remaining = datetime.fromisoformat(held["expiresAt"]) - datetime.now(UTC)
    assert timedelta(seconds=55) < remaining <= timedelta(seconds=60)


@pytest.mark.parametrize("feature", ["projects", "context_queries", "basic_context"])
def test_only_a_quota_can_be_held(api, owner, feature):
    assert problem(api.post(AUTHORIZE, {"feature": feature, "hold": True}, by=owner)) == (422, "validation_error")


def test_a_repeated_hold_is_the_same_hold(api, owner, acme):
    body = {"feature": "sessions", "amount": 5, "hold": True}
    first = api.post(AUTHORIZE, body, by=owner, idempotency_key="h")
    assert api.post(AUTHORIZE, body, by=owner, idempotency_key="h").content == first.content
    assert counter(acme) == (0, 5)


def test_another_organizations_hold_is_not_found(api, owner, stranger, acme, member, viewer):
    held = hold(api, owner)
    assert problem(end(api, stranger, held, "settle", {"amount": 1})) == (404, "not_found")
    assert problem(end(api, viewer, held, "release")) == (403, "insufficient_scope")
    assert problem(end(api, None, held, "release"))[0] == 401
    assert problem(end(api, owner, {"id": uuid4()}, "release")) == (404, "not_found")
    assert end(api, member, held, "release").status_code == 200


@pytest.mark.parametrize("body", [{"amount": -1}, {"amount": "1"}, {}, {"amount": 1, "more": 1}, [], {"amount": 1.5}, {"amount": 10**12}])
def test_bad_amounts_are_refused(api, owner, acme, body):
    held = hold(api, owner)
    assert problem(end(api, owner, held, "settle", body)) == (422, "validation_error")
    assert counter(acme) == (0, 5)


def test_the_tracker_can_hold(acme):
    tracker = UsageTracker(acme)
    UsageCounterFactory(organization=acme, used=48)
    granted = tracker.hold("sessions", 2)
    with pytest.raises(QuotaExceeded):
        tracker.consume("sessions")
    tracker.settle(granted.answer.hold.id, 1)
    assert tracker.consume("sessions").used == 50
    with pytest.raises(NotFound):
        tracker.release_hold(uuid4())
