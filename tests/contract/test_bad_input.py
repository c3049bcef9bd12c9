"""Bad input on every operation of the document: a problem document with a code and a sentence, and never a 500."""

import json
import os
import subprocess
import time
import uuid

import httpx
import pytest

from accounts.key_format import generate
from contextmcp.common.problems import CONTENT_TYPE
from contextmcp.devstack import runner
from tests.contract.document import operations
from tests.support.customers import sign_up

OPERATIONS = operations()
SERVICE_ONLY = {"record_events", "settle_hold", "release_hold", "set_gauge", "decrease_gauge"}
WITH_BODY = [each for each in OPERATIONS if each.body]
WITH_ID = [each for each in OPERATIONS if "_id}" in each.path]
TAKING_KEYS = [each for each in OPERATIONS if any(one["name"] == "Idempotency-Key" for one in each.definition.get("parameters", ()))]
DEEP = b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
# Names have at most 100 characters, bodies at most 2 MB.
HUGE = json.dumps({"name": "x" * 3_000_000}).encode()


def by_name(operation):
    return operation.name


@pytest.fixture(scope="module")
def keys(world, owner):
    """Return keys that are invalid in every possible way."""
    revoked = owner.make_key("Revoked")
    owner.in_session("DELETE", f"/api/auth/keys/{revoked['id']}")
    old = owner.make_key("Expired", scopes=["keys:write"])["key"]
    answer = owner.api.call("POST", "/api/auth/rotate-key", {"overlapSeconds": 0}, key=old)
    assert answer.status_code == 201
    time.sleep(0.1)
    return {
        "no key": (None, "credentials_missing"),
        "garbage": ("Bearer garbage", "invalid_key_format"),
        # The server may not even pass this header on.
        "not even text": (b"Bearer \xff\xfe", {"invalid_key_format", "credentials_missing"}),
        "another scheme": ("Basic b3duZXI6c2VjcmV0", "invalid_key_format"),
        "a live key": (f"Bearer {_well_formed('live')}", "environment_mismatch"),
        "a made-up key": (f"Bearer {_well_formed('test')}", "key_not_found"),
        "expired": (f"Bearer {old}", "key_expired"),
        "revoked": (f"Bearer {revoked['key']}", "key_revoked"),
    }


def _well_formed(environment):
    return generate(environment)


@pytest.fixture(scope="module")
def stranger(world):
    result = sign_up(world, "Elsewhere")
    yield result
    result.close()


@pytest.fixture(scope="module")
def service_key(world):
    command = [*runner.MANAGE, "create_service_key", "Contract"]
    environment = {**os.environ, **world.world.environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def send(world, owner, service_key):
    """`send(operation, body)` sends as the owner by default and checks that the response is no server error."""
    # Each request has its own connection, because the server closes it after a body that is too large.
    with httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0)) as client:

        def go(operation, body=b"", *, authorization=f"Bearer {owner.key}", kind="application/json", path=None, **headers):
            sent = {"Content-Type": kind, **headers}
            if operation.name in SERVICE_ONLY and (path or authorization == f"Bearer {owner.key}"):
                sent["ContextMCP-Credential"] = authorization.removeprefix("Bearer ")
                authorization = f"Bearer {service_key}"
            if authorization is not None:
                sent["Authorization"] = authorization
            url = world.url + (path or address(operation))
            answer = client.request(operation.method, url, content=body, headers=sent)
            assert answer.status_code == 405 or str(answer.status_code) in operation.definition["responses"], answer.text[:300]
            return answer

        yield go


def address(operation, value=None):
    """Return the operation's path with an ID that does not exist."""
    path = operation.path.replace("{feature}", "projects")
    while "{" in path:
        path = path[: path.index("{")] + (value or str(uuid.uuid4())) + path[path.index("}") + 1 :]
    return path


def refused(answer, *statuses):
    """Check for a complete problem document with one of these statuses. Return its code."""
    assert answer.status_code in statuses, f"{answer.status_code} {answer.text[:300]}"
    assert answer.headers["Content-Type"] == CONTENT_TYPE
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"].endswith(body["code"])
    assert len(body["detail"]) > 10
    assert body["detail"].endswith((".", "?"))
    return body["code"]


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if not each.is_open], ids=by_name)
def test_invalid_credentials_are_refused(operation, send, keys):
    for name, (authorization, code) in keys.items():
        answer = send(operation, json.dumps(operation.example or {}), authorization=authorization)
        if operation.takes_keys:
            assert refused(answer, 401) in ({code} if isinstance(code, str) else code), name
        else:
            assert refused(answer, 401, 403), name


@pytest.mark.parametrize("operation", WITH_BODY, ids=by_name)
def test_malformed_json_is_refused(operation, send):
    authorization = {} if operation.takes_keys else {"authorization": None}
    for body in (b"{", b"nonsense", b'{"a": NaN}', b"\xff\xfe{}", b'{"a": 1} tail', DEEP):
        assert refused(send(operation, body, **authorization), *expected(operation, 400, 422)), body[:20]


@pytest.mark.parametrize("operation", WITH_BODY, ids=by_name)
def test_bodies_of_another_shape_are_refused(operation, send):
    example = operation.example or {}
    wrong = [b"[]", b"3", b'"text"', b"null", b"true"]
    wrong += [{**example, "surprise": 1}, {"name\x00": 1}]
    for field in example:
        wrong += [{**example, field: value} for value in (None, {"a": 1}, [[]], 1e300, True, "\x00", "\ud800", "x" * 5000)]
    for body in wrong:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = send(operation, sent)
        # null may mean "unset", and true may be valid.
        if answer.status_code >= 300:
            assert refused(answer, *expected(operation, 400, 403, 404, 409, 422, 429))
    if example and operation.name not in NOTHING_REQUIRED:
        assert refused(send(operation, b"{}"), *expected(operation, 422))
    assert refused(send(operation, json.dumps({**example, "surprise": 1})), *expected(operation, 422))


@pytest.mark.parametrize("operation", WITH_BODY, ids=by_name)
def test_other_media_types_are_refused(operation, send):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "nonsense"):
        assert refused(send(operation, b'{"a": 1}', kind=kind), *expected(operation, 415)), kind


@pytest.mark.parametrize("operation", WITH_BODY, ids=by_name)
def test_large_bodies_are_refused(operation, send):
    # The size is refused before authentication.
    assert refused(send(operation, HUGE), 413, *expected(operation, 422))


@pytest.mark.parametrize("operation", OPERATIONS, ids=by_name)
def test_other_methods_get_405(operation, send):
    known = {each.method for each in OPERATIONS if each.path == operation.path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - known:
        other = type(operation)(operation.name, method, operation.path, operation.definition)
        answer = send(other, b"{}")
        assert refused(answer, *expected(operation, 405)) == "method_not_allowed" or not operation.takes_keys, method


@pytest.mark.parametrize("operation", WITH_ID, ids=by_name)
def test_malformed_and_unknown_ids_are_not_found(operation, send):
    body = json.dumps(operation.example) if operation.example else b""
    for value in ("none", "0", "%00", "a" * 2000, str(uuid.uuid4())):
        assert refused(send(operation, body, path=address(operation, value)), 404) == "not_found", value[:40]


@pytest.mark.parametrize("operation", WITH_ID, ids=by_name)
def test_another_organizations_id_is_not_found(operation, send, owner, stranger):
    path = operation.path
    for name, value in theirs(owner).items():
        path = path.replace("{" + name + "}", value)
    assert "{" not in path, "make one of these in `theirs`"
    body = json.dumps(operation.example) if operation.example else b""
    answer = send(operation, body, path=path, authorization=f"Bearer {stranger.key}")
    assert refused(answer, 404) == "not_found"


@pytest.mark.parametrize("operation", TAKING_KEYS, ids=by_name)
def test_an_invalid_idempotency_key_is_refused(operation, send):
    for key in ("", "x" * 256, "\xe9".encode("latin-1")):
        answer = send(operation, json.dumps(operation.example or {}), **{"Idempotency-Key": key})
        assert refused(answer, *expected(operation, 400, 404, 422))


def theirs(owner):
    """Return IDs of the owner's objects by the names of path parameters."""
    if not hasattr(owner, "ids"):
        key = owner.make_key("Theirs")["id"]
        invitation = owner.api.post("/api/organization/invitations", {"email": f"{uuid.uuid4()}@example.com"})["id"]
        members = owner.api.get("/api/organization/members")["data"]
        member = next(each["id"] for each in members if each["email"] == owner.email)
        hold = owner.api.post("/api/usage/authorize", {"feature": "sessions", "hold": True})["hold"]["id"]
        endpoint = owner.api.post("/api/webhook-endpoints", {"url": "https://acme.example/hooks"})["id"]
        delivery = owner.api.post(f"/api/webhook-endpoints/{endpoint}/test")["id"]
        owner.ids = {
            "delivery_id": delivery,
            "endpoint_id": endpoint,
            "key_id": key,
            "invitation_id": invitation,
            "member_id": member,
            "hold_id": hold,
        }
    return owner.ids


def expected(operation, *statuses):
    """Operations that require a session refuse keys before they validate the input."""
    return statuses if operation.takes_keys or operation.is_open else (401, 403)


# These operations treat {} as the default.
NOTHING_REQUIRED = {"rotate_key", "decrease_gauge", "cancel_subscription", "change_webhook_endpoint", "rotate_webhook_secret"}
