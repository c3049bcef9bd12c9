"""Permissions to write usage: customers use and read, and only service keys correct."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest

from accounts.invalidation import Invalidation
from accounts.models import AuditEvent, ServiceKey
from accounts.service_principals import service_keys as cache
from accounts.services import service_keys
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict
from contextmcp.common.logs import mask
from tests.factories.service_keys import service_key
from tests.support.api import Api, problem
from tests.support.gates import Http, gate_process
from usage.models import UsageCounter, UsageHold

pytestmark = pytest.mark.django_db
AUTHORIZE, CHECK, CURRENT = "/api/usage/authorize", "/api/entitlements/check", "/api/usage/current"
EVENTS = "/api/usage/events"
UNKNOWN = "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa"
RESTATING = [
    ("POST", EVENTS, {"feature": "sessions", "amount": -1, "reason": "oops"}),
    ("POST", EVENTS, {"events": [{"feature": "sessions"}]}),
    ("POST", EVENTS, [{"feature": "sessions", "occurredAt": "2026-01-01T00:00:00Z"}]),
    ("POST", f"/api/usage/holds/{UNKNOWN}/settle", {"amount": 0}),
    ("POST", f"/api/usage/holds/{UNKNOWN}/release", {}),
    ("PUT", "/api/usage/gauges/projects", {"value": 0}),
    ("POST", "/api/usage/gauges/projects/release", {"amount": 1}),
]


@pytest.fixture
def acme(owner):
    return owner


def own(person):
    """Send only the customer's own key."""
    return {"Authorization": f"Bearer {person.key}"}


def sessions(api, person):
    return next(one for one in api.get(CURRENT, by=person).json()["usage"] if one["feature"] == "sessions")


@pytest.mark.parametrize(("method", "path", "body"), RESTATING)
def test_a_customers_key_cannot_restate_usage(acme, method, path, body):
    response = Api().request(method, path, body, **own(acme))
    assert problem(response) == (403, "service_key_required")


@pytest.mark.parametrize(("method", "path", "body"), RESTATING)
def test_a_session_cannot_restate_usage(acme, client, method, path, body):
    client.force_login(acme.membership.user)
    response = client.generic(method, path, json.dumps(body), content_type="application/json")
    assert problem(response) == (403, "service_key_required")


def test_a_service_key_acts_for_the_customer_that_it_names(acme):
    api, key, organization = Api(), service_key(), str(acme.organization.pk)
    by_id = api.post(AUTHORIZE, {"feature": "sessions", "amount": 3, "organizationId": organization}, by=key)
    assert by_id.json()["used"] == 3
    by_key = api.post(AUTHORIZE, {"feature": "sessions", "credential": acme.key}, by=key)
    assert by_key.json()["used"] == 4
    assert api.post(EVENTS, {"events": [{"feature": "sessions"}], "organizationId": organization}, by=key).json()["accepted"] == 1
    array = api.post(EVENTS, [{"feature": "sessions"}], by=key, ContextMCP_Organization=organization)
    assert array.json()["accepted"] == 1
    assert api.post(CHECK, {"feature": "sessions", "organizationId": organization}, by=key).json()["used"] == 6
    assert api.get(f"{CURRENT}?organizationId={organization}", by=key).status_code == 200
    assert api.get(f"/api/entitlements?organizationId={organization}", by=key).json()["organizationId"] == organization
    assert api.put("/api/usage/gauges/projects", {"value": 2, "organizationId": organization}, by=key).json()["used"] == 2


def test_a_service_key_must_name_one_customer(acme):
    api, key = Api(), service_key()
    assert problem(api.post(AUTHORIZE, {"feature": "sessions"}, by=key)) == (422, "customer_required")
    both = {"feature": "sessions", "credential": acme.key, "organizationId": str(acme.organization.pk)}
    assert problem(api.post(AUTHORIZE, both, by=key)) == (422, "customer_required")
    for wrong in (str(uuid4()), "x"):
        assert problem(api.post(AUTHORIZE, {"feature": "sessions", "organizationId": wrong}, by=key)) == (404, "customer_not_found")
    assert problem(api.post(AUTHORIZE, {"feature": "sessions", "credential": "x"}, by=key)) == (401, "invalid_key_format")
    assert problem(api.get("/api/organization", by=key)) == (401, "invalid_key_format")


def test_the_scopes_of_a_service_key_limit_it(acme):
    created, raw = service_keys.create(None, "reader", ["usage:read"])
    body = {"feature": "sessions", "organizationId": str(acme.organization.pk)}
    assert problem(Api().post(EVENTS, body, by=raw)) == (403, "insufficient_scope")
    body = {"feature": "sessions", "credential": acme.key}
    assert problem(Api().post(AUTHORIZE, body, by=raw)) == (403, "insufficient_scope")
    assert raw not in str(list(ServiceKey.objects.values())) + str(list(AuditEvent.objects.values()))
    assert raw[15:] not in mask(f"a {raw}")
    assert AuditEvent.objects.filter(action="service_key.created", target=str(created.pk)).exists()


def test_a_service_key_is_rotated_with_overlap_and_revoked(acme):
    created, raw = service_keys.create(None, "server")
    fresh, new = service_keys.rotate(None, created, timedelta(hours=1))
    query = f"{CURRENT}?organizationId={acme.organization.pk}"
    assert [Api().get(query, by=key).status_code for key in (raw, new)] == [200, 200]
    with pytest.raises(Conflict):
        service_keys.rotate(None, created)
    service_keys.revoke(None, fresh)
    created.refresh_from_db()
    created.expires_at = now()
    created.save()

    cache.on_invalidation(Invalidation(None, fresh.pk, "service_key"))
    assert problem(Api().get(query, by=new)) == (401, "key_revoked")
    assert problem(Api().get(query, by=raw)) == (401, "key_expired")


def test_check_and_current_do_not_count_expired_holds(acme):
    api = Api()
    assert api.post(AUTHORIZE, {"feature": "sessions", "amount": 50, "hold": True}, by=acme).status_code == 200
    assert api.post(CHECK, {"feature": "sessions"}, by=acme).json()["allowed"] is False
    UsageHold.objects.update(expires_at=now() - timedelta(seconds=1))
    assert UsageCounter.objects.get().held == 50
    data = api.post(CHECK, {"feature": "sessions"}, by=acme).json()
    assert (data["allowed"], data["remaining"]) == (True, 50)
    usage = sessions(api, acme)
    assert (usage["held"], usage["remaining"]) == (0, 50)


@pytest.mark.django_db(transaction=True)
def test_the_gate_has_the_same_trust_boundary(acme):
    organization, key = str(acme.organization.pk), service_key()
    acme.key  # noqa: B018 - creates the key before the server runs
    with gate_process() as gate:
        http = Http(gate.port)
        for method, path, body in RESTATING:
            if "gauges" not in path:
                status, _, output = http.request(method, path, body, Authorization=f"Bearer {acme.key}")
                assert (status, output["code"]) == (403, "service_key_required")
        output = http.post(AUTHORIZE, {"feature": "sessions", "amount": 3, "organizationId": organization}, key=key)
        assert output[2]["used"] == 3
        assert http.post(AUTHORIZE, {"feature": "sessions", "credential": acme.key}, key=key)[2]["used"] == 4
        correction = {"feature": "sessions", "amount": -1, "reason": "r", "organizationId": organization}
        assert http.post(EVENTS, correction, key=key)[2]["accepted"] == 1
        assert http.request("GET", f"{CURRENT}?organizationId={organization}", key=key)[0] == 200
        assert http.post(AUTHORIZE, {"feature": "sessions"}, key=key)[2]["code"] == "customer_required"
        assert http.post(AUTHORIZE, {"feature": "sessions", "organizationId": str(uuid4())}, key=key)[2]["code"] == "customer_not_found"
        assert AuditEvent.objects.get(action="usage.corrected").after == {"sessions": -1}
        hold = http.post(AUTHORIZE, {"feature": "sessions", "amount": 47, "hold": True}, key=acme.key)
        assert hold[0] == 200
        UsageHold.objects.update(expires_at=now() - timedelta(seconds=1))
        assert http.post(CHECK, {"feature": "sessions"}, key=acme.key)[2]["remaining"] == 47
        usage = http.request("GET", CURRENT, key=acme.key)[2]["usage"]
        assert next(one for one in usage if one["feature"] == "sessions")["held"] == 0
