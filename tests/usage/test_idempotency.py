"""A request with an idempotency key is counted once, regardless of how often and on which server it arrives."""

import pytest

from tests.factories.usage import UsageCounterFactory
from tests.support.api import problem
from usage.authorize import fingerprints
from usage.models import IdempotencyKey, UsageCounter, UsageEvent

AUTHORIZE = "/api/usage/authorize"
EVENTS = "/api/usage/events"


def used(organization):
    return sum(UsageCounter.objects.filter(organization=organization).values_list("used", flat=True))


def test_a_repeat_gets_the_first_response(api, owner, acme):
    first = api.post(AUTHORIZE, {"feature": "sessions"}, by=owner, idempotency_key="call-1")
    api.post(AUTHORIZE, {"feature": "sessions"}, by=owner)
    again = api.post(AUTHORIZE, {"amount": 1, "feature": "sessions"}, by=owner, idempotency_key="call-1")
    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert used(acme) == 2


def test_another_body_is_a_conflict(api, owner, acme):
    api.post(AUTHORIZE, {"feature": "sessions"}, by=owner, idempotency_key="call-1")
    response = api.post(AUTHORIZE, {"feature": "sessions", "amount": 2}, by=owner, idempotency_key="call-1")
    assert problem(response) == (409, "idempotency_conflict")
    response = api.post(AUTHORIZE, {"feature": "sessions", "hold": True}, by=owner, idempotency_key="call-1")
    assert problem(response) == (409, "idempotency_conflict")
    assert used(acme) == 1


def test_a_refusal_is_not_stored(api, owner, acme):
    counter = UsageCounterFactory(organization=acme, used=50)
    assert problem(api.post(AUTHORIZE, {"feature": "sessions"}, by=owner, idempotency_key="k"))[1] == "quota_exceeded"
    UsageCounter.objects.filter(pk=counter.pk).update(used=49)
    assert api.post(AUTHORIZE, {"feature": "sessions"}, by=owner, idempotency_key="k").status_code == 200
    assert api.post(AUTHORIZE, {"feature": "sessions"}, by=owner, idempotency_key="k").status_code == 200
    assert used(acme) == 50


def test_repeat_does_not_count_in_the_rate_and_passes_a_full_window(api, owner):
    body = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}
    first = api.post(AUTHORIZE, body, by=owner, idempotency_key="k")
    for _ in range(20):
        assert api.post(AUTHORIZE, body, by=owner, idempotency_key="k").content == first.content
    data = api.post(AUTHORIZE, {"feature": "session_creation", "amount": 9}, by=owner).json()
    assert data["remaining"] == 0
    assert api.post(AUTHORIZE, body, by=owner, idempotency_key="k").content == first.content
    assert problem(api.post(AUTHORIZE, body, by=owner, idempotency_key="another")) == (429, "rate_limited")
    assert problem(api.post(AUTHORIZE, body, by=owner)) == (429, "rate_limited")


def test_a_rate_only_request_is_idempotent(api, owner):
    first = api.post(AUTHORIZE, {"feature": "context_queries"}, by=owner, idempotency_key="k")
    assert api.post(AUTHORIZE, {"feature": "context_queries"}, by=owner, idempotency_key="k").content == first.content
    assert api.post(AUTHORIZE, {"feature": "context_queries"}, by=owner).json()["used"] == 2


def test_authorize_and_events_share_one_space_of_keys(api, owner, acme):
    api.post(AUTHORIZE, {"feature": "sessions"}, by=owner, idempotency_key="call-1")
    data = api.post(EVENTS, {"feature": "sessions", "idempotencyKey": "call-1"}, by=owner).json()
    assert data["results"] == [{"status": "duplicate"}]
    api.post(EVENTS, {"feature": "sessions", "idempotencyKey": "call-2"}, by=owner)
    again = api.post(AUTHORIZE, {"feature": "sessions"}, by=owner, idempotency_key="call-2")
    assert again.json()["allowed"] is True
    assert again["Idempotent-Replayed"] == "true"
    response = api.post(EVENTS, {"feature": "sessions", "amount": 7, "idempotencyKey": "call-2"}, by=owner)
    assert problem(response) == (409, "idempotency_conflict")
    assert used(acme) == 2
    assert UsageEvent.objects.filter(organization=acme).count() == 2


def test_keys_are_separate_per_organization(api, owner, acme, stranger):
    for person in (owner, stranger):
        response = api.post(AUTHORIZE, {"feature": "sessions"}, by=person, idempotency_key="same")
        assert "Idempotent-Replayed" not in response
    assert IdempotencyKey.objects.filter(digest=fingerprints.key_digest("same")).count() == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "a\x7fb"])
def test_an_invalid_key_is_refused(api, owner, key):
    assert problem(api.post(AUTHORIZE, {"feature": "sessions"}, by=owner, idempotency_key=key)) == (422, "validation_error")


def test_the_time_in_a_version_7_uuid_stays_in_front():
    key = "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa"
    digest = fingerprints.key_digest(key)
    assert digest.hex().startswith("0197f3c26f0a")
    assert len(digest) == len(fingerprints.key_digest("anything")) == 16
    assert fingerprints.key_digest("0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9ab") != digest
    assert fingerprints.key_digest("zz97f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa") != digest
    assert len(fingerprints.key_digest("ü" * 12 + "7" + "ü" * 19)) == 16
