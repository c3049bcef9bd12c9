"""The gate's server responds exactly as Django does."""

import re
from uuid import uuid4

import pytest

from contextmcp.common.clock import now
from tests.factories.accounts import OrganizationFactory, Person, UserFactory, key_of
from tests.factories.usage import UsageCounterFactory, UsageGaugeFactory, subscribe
from tests.support.gates import Http, gate_process

pytestmark = pytest.mark.django_db(transaction=True)
AUTHORIZE = "/api/usage/authorize"
CHECK = "/api/entitlements/check"
EVENTS = "/api/usage/events"
CLOUD = {"specversion": "1.0", "id": "1", "source": "/mcp", "type": "sessions"}
KEYED = {"idempotency_key": "first"}
TABLE = [
    (AUTHORIZE, {"feature": "sessions"}, {}),
    (AUTHORIZE, {"feature": "sessions", "amount": 3}, KEYED),
    (AUTHORIZE, {"feature": "sessions", "amount": 3}, KEYED),
    (AUTHORIZE, {"feature": "sessions", "amount": 4}, KEYED),
    (AUTHORIZE, {"feature": "sessions", "amount": 47}, {}),
    (AUTHORIZE, {"feature": "basic_context"}, {}),
    (AUTHORIZE, {"feature": "git_integration"}, {}),
    (AUTHORIZE, {"feature": "git_webhooks"}, {}),
    (AUTHORIZE, {"feature": "session_creation", "amount": 4}, {}),
    (AUTHORIZE, {"feature": "session_creation", "amount": 11}, {}),
    (AUTHORIZE, {"feature": "context_queries"}, {"idempotency_key": "rate"}),
    (AUTHORIZE, {"feature": "context_queries"}, {"idempotency_key": "rate"}),
    (AUTHORIZE, {"feature": "projects"}, {}),
    (AUTHORIZE, {"feature": "projects"}, {}),
    (AUTHORIZE, {"feature": "team_members"}, {}),
    (AUTHORIZE, {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}, {}),
    (AUTHORIZE, {"items": [{"feature": "sessions", "amount": 999}, {"feature": "session_creation"}]}, {}),
    (AUTHORIZE, {"items": []}, {}),
    (AUTHORIZE, {"items": [{"feature": "sessions"}], "feature": "sessions"}, {}),
    (AUTHORIZE, {"items": [{"feature": "sessions"}], "hold": True}, {}),
    (AUTHORIZE, {"feature": "projects", "hold": True}, {}),
    (AUTHORIZE, {"feature": "sessions", "holdSeconds": 3}, {}),
    (AUTHORIZE, {"feature": "nonsense"}, {}),
    (AUTHORIZE, {"feature": "sessions", "amount": "1"}, {}),
    (AUTHORIZE, {"feature": "sessions", "extra": 1}, {}),
    (AUTHORIZE, {}, {}),
    (AUTHORIZE, b"{", {}),
    (AUTHORIZE, b"\xff", {}),
    (AUTHORIZE, b"", {}),
    (AUTHORIZE, {"feature": "sessions"}, {"idempotency_key": "x" * 256}),
    (AUTHORIZE, b"feature=sessions", {"content_type": "application/x-www-form-urlencoded"}),
    (AUTHORIZE, b" " * (2 * 1024 * 1024 + 1), {}),
    (CHECK, {"feature": "sessions"}, {}),
    (CHECK, {"feature": "sessions", "amount": 999}, {}),
    (CHECK, {"feature": "projects"}, {}),
    (CHECK, {"feature": "best_practices"}, {}),
    (CHECK, {"feature": "team_members"}, {}),
    (CHECK, {"feature": "session_creation", "amount": 5}, {}),
    (CHECK, {"feature": "session_creation", "amount": 6}, {}),
    (CHECK, {"feature": "git_integration"}, {}),
    (CHECK, {"feature": "basic_context"}, {}),
    (CHECK, {"feature": "nonsense"}, {}),
    (CHECK, [], {}),
    (EVENTS, {"feature": "sessions"}, {"idempotency_key": "e"}),
    (EVENTS, {"feature": "sessions"}, {"idempotency_key": "e"}),
    (EVENTS, {"events": [{"feature": "sessions", "idempotencyKey": "e"}, {"feature": "x"}, {"feature": "context_queries"}]}, {}),
    (EVENTS, [{"feature": "sessions", "amount": -1}, {"feature": "sessions", "amount": -1, "reason": "r"}], {}),
    (EVENTS, [{"feature": "sessions", "occurredAt": "1999-01-01T00:00:00Z"}], {}),
    (EVENTS, {"feature": "sessions", "occurredAt": "1999-01-01T00:00:00Z"}, {}),
    (EVENTS, CLOUD, {"content_type": "application/cloudevents+json"}),
    (EVENTS, [CLOUD, {**CLOUD, "id": "2"}], {"content_type": "application/cloudevents-batch+json"}),
    (EVENTS, [{"feature": "sessions"}] * 1001, {}),
    (EVENTS, b"{}", {"content_type": "text/plain"}),
    (AUTHORIZE, {"feature": "sessions", "amount": 50}, {}),
    (f"/api/usage/holds/{uuid4()}/settle", {"amount": 1}, {}),
    (f"/api/usage/holds/{uuid4()}/settle", {"amount": -1}, {}),
    (f"/api/usage/holds/{uuid4()}/release", {}, {}),
]
COMPARED_HEADERS = ("content-type", "retry-after", "ratelimit", "ratelimit-policy", "idempotent-replayed", "www-authenticate")


@pytest.fixture(scope="module")
def gate(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), gate_process() as process:
        yield process


def person(moment):
    """Two organizations created at the same time get the same times in responses."""
    organization = OrganizationFactory(owner=UserFactory())
    organization.created_at = moment
    organization.save(update_fields=["created_at"])
    return Person(organization.memberships.select_related("organization", "user").get())


def comparable(status, headers, body):
    """Return what must be equal: everything that does not depend on the current second."""
    stored = {name: re.sub(r"t=\d+", "t=?", value) for name, value in headers.items() if name in COMPARED_HEADERS and name != "retry-after"}
    return status, stored, "retry-after" in headers, without_times(body)


def without_times(body):
    if isinstance(body, dict):
        return {name: without_times(value) for name, value in body.items() if name not in {"retryAfter", "resetsAt", "hold"}}
    return [without_times(one) for one in body] if isinstance(body, list) else body


def of_django(response):
    return response.status_code, {name.lower(): value for name, value in response.items()}, response.json()


def test_both_servers_give_the_same_answers(gate, api):
    moment = now()
    here, there = person(moment), person(moment)
    client = Http(gate.port)
    for path, body, headers in TABLE:
        django = comparable(*of_django(api.post(path, body, by=here, **headers)))
        server = comparable(*client.post(path, body, key=there.key, **headers))
        assert server == django, (path, body if len(str(body)) < 200 else "...")
    reports = [{one["feature"]: one for one in api.get("/api/usage/current", by=by).json()["usage"]} for by in (here, there)]
    assert reports[0] == reports[1]
    assert reports[0]["sessions"]["used"] > 5


def test_both_servers_return_the_same_times(gate, api):
    here = person(now())
    first = of_django(api.post(AUTHORIZE, {"feature": "sessions"}, by=here))[2]
    second = Http(gate.port).post(AUTHORIZE, {"feature": "sessions"}, key=here.key)[2]
    assert second.pop("used") == first.pop("used") + 1 == 2
    assert second.pop("remaining") == first.pop("remaining") - 1
    assert second == first


def test_both_servers_return_the_same_usage(gate, api):
    here, path, client = person(now()), "/api/usage/current", Http(gate.port)
    api.post(AUTHORIZE, {"items": [{"feature": "sessions", "amount": 7}, {"feature": "projects"}]}, by=here)
    api.post(AUTHORIZE, {"feature": "sessions", "amount": 2, "hold": True}, by=here)
    output = client.request("GET", path, key=here.key)
    assert output[0] == 200
    assert output[2] == api.get(path, by=here).json()
    usage = {one["feature"]: one for one in output[2]["usage"]}
    assert (usage["sessions"]["used"], usage["sessions"]["held"], usage["team_members"]["used"]) == (7, 2, 1)
    assert client.request("GET", f"{path}?x=1&y&x=2", key=here.key)[2]["errors"] == api.get(f"{path}?x=1&y&x=2", by=here).json()["errors"]
    assert client.request("GET", path)[0] == api.get(path).status_code == 401
    writing = key_of(here.membership, ["usage:write"])
    assert client.request("GET", path, key=writing)[2]["code"] == "insufficient_scope"


def test_both_refuse_the_same_callers(gate, api):
    here = person(now())
    good = here.key
    viewer_key = key_of(here.membership, ["usage:read"])
    for path in (AUTHORIZE, CHECK, EVENTS, f"/api/usage/holds/{uuid4()}/release"):
        for key in (None, "", "nonsense", good[:-1] + ("A" if good[-1] != "A" else "B"), viewer_key):
            django = comparable(*of_django(api.post(path, {"feature": "sessions"}, by=key)))
            assert comparable(*Http(gate.port).post(path, {"feature": "sessions"}, key=key)) == django, (path, key and key[:12])
            assert django[0] in (401, 403)
        basic = {"authorization": "Basic abc"}
        assert comparable(*Http(gate.port).post(path, {}, **basic)) == comparable(*of_django(api.post(path, {}, **basic)))


def test_holds_work_across_both_servers(gate, api):
    here = person(now())
    client = Http(gate.port)
    status, _, output = client.post(AUTHORIZE, {"feature": "sessions", "amount": 5, "hold": True}, key=here.key)
    assert status == 200
    held = output["hold"]["id"]
    assert api.post(f"/api/usage/holds/{held}/settle", {"amount": 3}, by=here).json()["settled"] == 3
    assert client.post(f"/api/usage/holds/{held}/settle", {"amount": 3}, key=here.key)[2]["settled"] == 3
    assert client.post(f"/api/usage/holds/{held}/release", key=here.key)[0] == 409
    assert client.post(AUTHORIZE, {"feature": "sessions"}, key=here.key)[2]["used"] == 4


def test_a_refused_quota_releases_the_rate(gate):
    here = person(now())
    UsageCounterFactory(organization=here.organization, used=50)
    client = Http(gate.port)
    both = {"items": [{"feature": "sessions"}, {"feature": "session_creation"}]}
    for _ in range(12):
        assert client.post(AUTHORIZE, both, key=here.key)[2]["code"] == "quota_exceeded"
    assert client.post(AUTHORIZE, {"feature": "session_creation"}, key=here.key)[2]["used"] == 1


def test_a_revoked_key_is_refused_immediately(gate, api):
    from accounts.manager import AuthManager
    from accounts.models import ApiKey

    here = person(now())
    client = Http(gate.port)
    assert client.post(AUTHORIZE, {"feature": "sessions"}, key=here.key)[0] == 200
    AuthManager(here.organization).revoke_key(here.caller, ApiKey.objects.get(organization=here.organization).pk)
    status, _, output = client.post(AUTHORIZE, {"feature": "sessions"}, key=here.key)
    assert (status, output["code"]) == (401, "key_revoked")


def test_a_plan_change_invalidates_the_gate(gate):
    import time

    here = person(now())
    client = Http(gate.port)
    UsageGaugeFactory(organization=here.organization, value=1)
    assert client.post(AUTHORIZE, {"feature": "projects"}, key=here.key)[0] == 429
    subscribe(here.organization)
    time.sleep(1)
    assert client.post(AUTHORIZE, {"feature": "projects"}, key=here.key)[2]["limit"] == 10


def test_unknown_paths_and_methods_are_refused(gate):
    key = person(now()).key
    client = Http(gate.port)
    assert client.request("GET", "/livez")[::2] == (200, {"status": "ok"})
    assert client.request("GET", AUTHORIZE)[2]["code"] == "credentials_missing"
    assert client.request("GET", AUTHORIZE, key=key)[2]["code"] == "method_not_allowed"
    assert client.post("/api/usage/current", key=key)[2]["code"] == "method_not_allowed"
    for path in ("/", "/api/usage/history", "/api/usage/holds/x/settle", f"/api/usage/holds/{uuid4()}/eat", "/api/usage/holds/"):
        assert client.post(path)[2]["code"] == "not_found"
