"""Permissions: every operation of the document as every role, over HTTP. An operation that is missing in the table fails."""

import json

import httpx
import pytest

from tests.contract.document import operations
from tests.contract.test_bad_input import address, refused, theirs
from tests.support.customers import sign_up

OPERATIONS = operations()
OPEN = {"list_plans"}
# All signed-in users, with or without an organization.
SIGNED_IN = {"accept_invitation"}
EVERYONE = ("owner", "admin", "member", "viewer")
USERS = ("owner", "admin", "member")
MANAGERS = ("owner", "admin")
OWNERS = ("owner",)
# Only the vendor's servers with a service key. Sessions and customers' keys are refused, whatever their role or scopes.
NO_CUSTOMER = ()
MAY = {
    "whoami": EVERYONE,
    "get_organization": EVERYONE,
    "list_keys": EVERYONE,
    "list_members": EVERYONE,
    "get_entitlements": EVERYONE,
    "get_entitlements_token": EVERYONE,
    "check": EVERYONE,
    "current_usage": EVERYONE,
    "usage_history": EVERYONE,
    "generate_key": USERS,
    "rotate_key": USERS,
    "revoke_key": USERS,
    "authorize": USERS,
    "record_events": NO_CUSTOMER,
    "settle_hold": NO_CUSTOMER,
    "release_hold": NO_CUSTOMER,
    "set_gauge": NO_CUSTOMER,
    "decrease_gauge": NO_CUSTOMER,
    "take_over_key": MANAGERS,
    "list_invitations": MANAGERS,
    "invite": MANAGERS,
    "resend_invitation": MANAGERS,
    "revoke_invitation": MANAGERS,
    "change_role": MANAGERS,
    "remove_member": MANAGERS,
    "subscription": MANAGERS,
    "invoices": MANAGERS,
    "create_checkout_session": OWNERS,
    "create_portal_session": OWNERS,
    "preview_change": MANAGERS,
    "change_plan": OWNERS,
    "cancel_subscription": OWNERS,
    "resume_subscription": OWNERS,
    "cancel_scheduled_change": OWNERS,
    "set_overage": OWNERS,
    "list_webhook_endpoints": OWNERS,
    "create_webhook_endpoint": OWNERS,
    "delete_webhook_endpoint": OWNERS,
    "get_webhook_endpoint": OWNERS,
    "change_webhook_endpoint": OWNERS,
    "rotate_webhook_secret": OWNERS,
    "redeliver_webhook": OWNERS,
    "list_webhook_deliveries": OWNERS,
    "get_webhook_delivery": OWNERS,
    "test_webhook_endpoint": OWNERS,
}
MEMBERS_ONLY = [each for each in OPERATIONS if each.name in MAY]


def by_name(operation):
    return operation.name


@pytest.fixture(scope="module")
def people(world, owner):
    """A user with a session for each role. The stranger owns another organization."""
    result = {
        "owner": owner,
        **{role: owner.invite(role) for role in ("admin", "member", "viewer")},
        "stranger": sign_up(world, "Elsewhere"),
    }
    yield result
    for name, each in result.items():
        if name != "owner":
            each.close()


def of_theirs(operation, owner):
    """Return the operation's URL with IDs of the owner's objects."""
    path = operation.path.replace("{feature}", "projects")
    for name, value in theirs(owner).items():
        path = path.replace("{" + name + "}", value)
    return path


def refusals(operation, *codes):
    """Return the codes that a customer may be refused with."""
    return {"service_key_required"} if MAY[operation.name] == NO_CUSTOMER else set(codes)


def test_the_table_contains_every_operation():
    assert {each.name for each in OPERATIONS} == {*MAY, *OPEN, *SIGNED_IN}


@pytest.mark.parametrize("operation", MEMBERS_ONLY, ids=by_name)
def test_forbidden_callers_are_refused_without_effect(operation, people, owner):
    path, body = of_theirs(operation, owner), operation.example
    if operation.name == "rotate_key":
        body = {"keyId": theirs(owner)["key_id"]}
    before = stored_objects(owner)
    for role in EVERYONE:
        if role not in MAY[operation.name]:
            answer = people[role].in_session(operation.method, path, body)
            # Objects that the role may not view are reported as not found.
            assert refused(answer, 403, 404) in refusals(operation, "permission_denied", "insufficient_scope", "not_found"), role
    assert stored_objects(owner) == before


@pytest.mark.parametrize("operation", MEMBERS_ONLY, ids=by_name)
def test_permitted_callers_pass(operation, people):
    """With an ID that does not exist, or with too large a body: the effect of the operation is tested elsewhere."""
    for role in MAY[operation.name]:
        body = None if operation.example is None else {**operation.example, "surprise": 1}
        answer = people[role].in_session(operation.method, address(operation), body)
        if operation.body is None and "_id}" not in operation.path:
            assert answer.status_code in (200, 409), (role, answer.text)
        else:
            assert answer.status_code in (200, 404, 409, 422), (role, answer.status_code, answer.text)


@pytest.mark.parametrize("operation", MEMBERS_ONLY, ids=by_name)
def test_other_organizations_objects_are_not_found(operation, people, owner):
    if "_id}" in operation.path:
        answer = people["stranger"].in_session(operation.method, of_theirs(operation, owner), operation.example)
        assert refused(answer, 403, 404) in refusals(operation, "not_found")
    elif operation.method == "GET":
        answer = people["stranger"].in_session("GET", address(operation))
        assert answer.status_code == 200
        assert owner.email not in answer.text
        assert all(one not in answer.text for one in theirs(owner).values())


@pytest.mark.parametrize("operation", OPERATIONS, ids=by_name)
def test_no_authentication_is_required(operation, world):
    answer = httpx.request(operation.method, world.url + address(operation), json=operation.example)
    if operation.name in OPEN:
        assert answer.status_code == 200
    else:
        refused(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if not each.is_open and each.method != "GET"], ids=by_name)
def test_a_session_without_a_csrf_token_changes_nothing(operation, people, world):
    """A page of another site can send the cookie, but not the token."""
    cookies = {"sessionid": people["owner"].browser.client.cookies["sessionid"]}
    answer = httpx.request(operation.method, world.url + address(operation), json=operation.example, cookies=cookies)
    assert refused(answer, 403) == "permission_denied"


@pytest.mark.parametrize("operation", [each for each in MEMBERS_ONLY if each.name not in {"whoami", "rotate_key"}], ids=by_name)
def test_a_key_without_the_scope_is_refused(operation, owner, key_without):
    body = json.dumps(operation.example).encode() if operation.example else b""
    needs_reading = "organization:read" if operation.path.startswith(("/api/usage", "/api/entitlements", "/api/billing")) else "usage:read"
    headers = {"Authorization": f"Bearer {key_without[needs_reading]}", "Content-Type": "application/json"}
    answer = httpx.request(operation.method, owner.world.url + of_theirs(operation, owner), content=body, headers=headers)
    assert refused(answer, 403, 404) in refusals(operation, "insufficient_scope", "not_found")


@pytest.fixture(scope="module")
def key_without(owner):
    """With a key whose only scope is that of another area."""
    return {scope: owner.make_key(scope, scopes=[scope])["key"] for scope in ("organization:read", "usage:read")}


def stored_objects(owner):
    """Return everything that an unauthorized request could have changed."""
    messages = [
        owner.api.get(path)
        for path in ("/api/organization/members", "/api/organization/invitations", "/api/billing/subscription", "/api/usage/current")
    ]
    keys = [{**one, "lastUsedAt": None} for one in owner.api.get("/api/auth/keys")["data"]]
    return messages, sorted(keys, key=lambda one: one["id"])
