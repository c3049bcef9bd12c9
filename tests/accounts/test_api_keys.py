"""Creating, taking over and listing keys over HTTP."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.serializers import serialize

from accounts import key_format
from accounts.manager import AuthManager
from accounts.models import ApiKey, AuditEvent, Membership
from contextmcp.common.clock import now
from contextmcp.common.models import IdempotencyRecord
from tests.factories.accounts import key_of
from tests.support.api import problem

GENERATE, LIST, ME = "/api/auth/generate-key", "/api/auth/keys", "/api/auth/whoami"


def _row(raw):
    return ApiKey.objects.get(public_id=key_format.parse(raw).public_id)


def _audit(action):
    return AuditEvent.objects.filter(action=action).first()


class TestGenerate:
    @pytest.mark.django_db
    @pytest.mark.parametrize("who", ["owner", "admin", "member"])
    def test_members_create_keys(self, api, request, who):
        person = request.getfixturevalue(who)
        response = api.post(GENERATE, {"name": "CI"}, by=person)
        assert response.status_code == 201, response.json()
        body = response.json()
        assert body["scopes"] == ["entitlements:read", "organization:read", "usage:read", "usage:write"]
        assert (body["name"], body["status"], body["expiresAt"], body["createdBy"]) == ("CI", "active", None, person.user.email)
        assert body["key"].startswith(body["hint"][:-1])
        assert api.get(ME, by=body["key"]).json()["key"]["id"] == body["id"]
        assert _audit("key.created").after["name"] == "CI"

    def test_a_viewer_cannot_create_keys(self, api, viewer):
        assert problem(api.post(GENERATE, {"name": "CI"}, by=viewer)) == (403, "insufficient_scope")
        api.client.force_login(viewer.user)
        assert problem(api.post(GENERATE, {"name": "CI"})) == (403, "permission_denied")

    def test_anonymous_callers_cannot_create_keys(self, api, db):
        assert problem(api.post(GENERATE, {"name": "CI"})) == (401, "credentials_missing")

    def test_a_key_belongs_to_the_callers_organization(self, api, acme, stranger):
        created = api.post(GENERATE, {"name": "CI"}, by=stranger).json()
        assert _row(created["key"]).organization == stranger.organization

    def test_a_session_can_create_keys(self, api, member):
        api.client.force_login(member.user)
        assert api.post(GENERATE, {"name": "CI", "scopes": ["usage:write", "usage:write"]}).json()["scopes"] == ["usage:write"]

    def test_the_role_limits_the_scopes(self, api, member):
        api.client.force_login(member.user)
        response = api.post(GENERATE, {"name": "CI", "scopes": ["billing:write", "usage:read"]})
        assert problem(response) == (403, "permission_denied")
        assert response.json()["required"] == ["billing:write"]

    def test_a_key_cannot_create_a_broader_key(self, api, owner):
        narrow = key_of(owner.membership, ["keys:write", "usage:read"])
        assert api.post(GENERATE, {"name": "a", "scopes": ["keys:write"]}, by=narrow).status_code == 201
        response = api.post(GENERATE, {"name": "b", "scopes": ["usage:read", "usage:write"]}, by=narrow)
        assert problem(response) == (403, "insufficient_scope")
        assert response.json()["required"] == ["usage:write"]
        assert api.post(GENERATE, {"name": "c"}, by=narrow).json()["scopes"] == ["usage:read"]

    def test_a_key_cannot_create_a_key_that_expires_later(self, api, owner):
        ends = now() + timedelta(days=2)
        short = key_of(owner.membership, ["keys:write", "usage:read"], expires_at=ends)
        for expected in (None, ends + timedelta(days=1)):
            created = api.post(GENERATE, {"name": "a", "expiresAt": expected}, by=short).json()
            assert datetime.fromisoformat(created["expiresAt"]) == ends
        sooner = ends - timedelta(days=1)
        assert datetime.fromisoformat(api.post(GENERATE, {"name": "a", "expiresAt": sooner}, by=short).json()["expiresAt"]) == sooner

    def test_a_key_without_effective_scopes_is_refused(self, api, owner):
        maker = key_of(owner.membership, ["keys:write"])
        assert problem(api.post(GENERATE, {"name": "child"}, by=maker)) == (422, "validation_error")

    def test_a_key_without_keys_write_cannot_create_keys(self, api, owner):
        assert problem(api.post(GENERATE, {"name": "a"}, by=key_of(owner.membership, ["usage:read"]))) == (403, "insufficient_scope")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"name": ""},
            {"name": "x" * 101},
            {"name": "a\0b"},
            {"name": None},
            {"name": ["a"]},
            {"name": "a", "scopes": "usage:read"},
            {"name": "a", "scopes": []},
            {"name": "a", "scopes": ["everything"]},
            {"name": "a", "scopes": [None]},
            {"name": "a", "expiresAt": "soon"},
            {"name": "a", "expiresAt": "2020-01-01T00:00:00Z"},
            {"name": "a", "expiresAt": "9999-12-31T23:59:59-14:00"},
            {"name": "a", "expiresAt": "0001-01-01T00:00:00+14:00"},
            {"name": "a", "expires_at": None},
            {"name": "a", "colour": "red"},
            [],
            "a",
            7,
            None,
        ],
    )
    def test_bad_bodies_get_a_validation_error(self, api, owner, body):
        assert problem(api.post(GENERATE, body, by=owner)) == (422, "validation_error")

    def test_malformed_bodies_and_media_types_are_refused(self, api, owner):
        assert problem(api.post(GENERATE, b"{", by=owner)) == (400, "malformed_request")
        assert problem(api.post(GENERATE, b"\xff", by=owner)) == (400, "malformed_request")
        assert problem(api.post(GENERATE, b"name=a", by=owner, content_type="application/x-www-form-urlencoded")) == (
            415,
            "unsupported_media_type",
        )
        assert problem(api.get(GENERATE, by=owner)) == (405, "method_not_allowed")

    def test_expiry_is_on_the_organizations_clock(self, api, acme, owner):
        AuthManager(acme).set_clock(timedelta(days=30), "clock_1")
        assert api.post(GENERATE, {"name": "a", "expiresAt": now() + timedelta(days=29)}, by=owner).status_code == 422
        assert api.post(GENERATE, {"name": "a", "expiresAt": now() + timedelta(days=31)}, by=owner).status_code == 201

    def test_the_key_is_only_in_the_response(self, api, owner, caplog):
        body = api.post(GENERATE, {"name": "CI"}, by=owner, idempotency_key="k1").json()
        secret = body["key"][key_format.PREFIX_LENGTH + key_format.PUBLIC_LENGTH :]
        for model in (ApiKey, AuditEvent, IdempotencyRecord):
            assert secret not in serialize("json", model.objects.all())
        assert secret not in caplog.text + repr(_row(body["key"])) + str(_row(body["key"]))

    def test_a_key_entered_as_a_name_is_not_stored(self, api, owner):
        assert api.post(GENERATE, {"name": key_format.generate("test")}, by=owner).json()["name"] == "cmcp_sk_test_***"

    def test_a_repeated_request_creates_one_key_and_hides_it(self, api, owner):
        first = api.post(GENERATE, {"name": "CI"}, by=owner, idempotency_key="k1").json()
        again = api.post(GENERATE, {"name": "CI"}, by=owner, idempotency_key="k1")
        assert again.status_code == 201
        assert again["Idempotent-Replayed"] == "true"
        assert again.json() == {**json.loads(json.dumps(first)), "key": None}
        assert ApiKey.objects.filter(name="CI").count() == 1
        assert problem(api.post(GENERATE, {"name": "other"}, by=owner, idempotency_key="k1")) == (409, "idempotency_conflict")

    def test_idempotency_keys_are_separate_per_member(self, api, owner, admin):
        assert api.post(GENERATE, {"name": "CI"}, by=owner, idempotency_key="k1").json()["key"]
        assert api.post(GENERATE, {"name": "CI"}, by=admin, idempotency_key="k1").json()["key"]


class TestAdopt:
    @pytest.fixture
    def orphan(self, acme, owner, admin):
        raw = key_of(admin.membership, ["billing:read", "usage:read"])
        AuthManager(acme).remove_member(owner.caller, admin.membership.pk)
        return raw

    def test_a_key_taken_over_is_limited_by_the_new_owners_role(self, api, owner, orphan):
        assert problem(api.get(ME, by=orphan)) == (403, "permission_denied")
        listed = {key["id"]: key["status"] for key in api.get(LIST, by=owner).json()["data"]}
        assert listed[str(_row(orphan).pk)] == "orphaned"
        narrow = key_of(owner.membership, ["keys:write", "usage:read"])
        answer = api.post(f"{LIST}/{_row(orphan).pk}/take-over", by=narrow)
        adopted = answer.json()
        assert (answer.status_code, adopted["scopes"], adopted["rotatedFrom"]) == (201, ["usage:read"], str(_row(orphan).pk))
        assert api.get(ME, by=adopted["key"]).json()["role"] == "owner"
        event = _audit("key.taken_over")
        assert (event.before["scopes"], event.after["successor"]) == (["billing:read", "usage:read"], adopted["id"])

    def test_the_former_members_key_stays_revoked(self, api, owner, orphan):
        assert api.post(f"{LIST}/{_row(orphan).pk}/take-over", by=owner).status_code == 201
        assert problem(api.get(ME, by=orphan)) == (401, "key_revoked")
        assert problem(api.post(f"{LIST}/{_row(orphan).pk}/take-over", by=owner)) == (409, "key_already_ended")

    def test_a_repeated_take_over_happens_once_and_hides_the_key(self, api, owner, orphan):
        url = f"{LIST}/{_row(orphan).pk}/take-over"
        first = api.post(url, by=owner, idempotency_key="k").json()
        assert api.post(url, by=owner, idempotency_key="k").json() == {**first, "key": None}

    def test_a_key_without_common_scopes_cannot_be_taken_over(self, api, owner, orphan):
        narrow = key_of(owner.membership, ["keys:write"])
        assert problem(api.post(f"{LIST}/{_row(orphan).pk}/take-over", by=narrow)) == (409, "key_scopes_not_held")

    def test_a_returning_member_does_not_reactivate_the_key(self, api, acme, owner, orphan, admin):
        Membership.objects.create(organization=acme, user=admin.user, role="admin")
        assert problem(api.get(ME, by=orphan)) == (403, "permission_denied")

    @pytest.mark.parametrize(("who", "status"), [("member", 403), ("viewer", 403), ("stranger", 404)])
    def test_members_cannot_take_over_keys(self, api, request, orphan, who, status):
        assert api.post(f"{LIST}/{_row(orphan).pk}/take-over", by=request.getfixturevalue(who)).status_code == status
        assert api.post(f"{LIST}/{_row(orphan).pk}/take-over").status_code == 401

    def test_only_active_orphaned_keys_can_be_taken_over(self, api, acme, owner, orphan):
        assert problem(api.post(f"{LIST}/{_row(owner.key).pk}/take-over", by=owner)) == (409, "key_creator_present")
        AuthManager(acme).revoke_key(owner.caller, _row(orphan).pk)
        assert problem(api.post(f"{LIST}/{_row(orphan).pk}/take-over", by=owner)) == (409, "key_already_ended")


class TestList:
    def test_admins_see_all_keys_and_members_their_own(self, api, owner, admin, member, viewer, stranger):
        for person in (owner, admin, member, viewer, stranger):
            assert person.key
        assert len(api.get(LIST, by=owner).json()["data"]) == 4
        assert len(api.get(LIST, by=admin).json()["data"]) == 4
        assert [key["createdBy"] for key in api.get(LIST, by=member).json()["data"]] == [member.user.email]
        assert len(api.get(LIST, by=viewer).json()["data"]) == 1
        assert len(api.get(LIST, by=stranger).json()["data"]) == 1
        assert problem(api.get(LIST)) == (401, "credentials_missing")
        assert problem(api.get(LIST, by=key_of(owner.membership, ["usage:read"]))) == (403, "insufficient_scope")

    def test_keys_are_paginated_newest_first(self, api, owner):
        names = [f"key {number}" for number in range(5)]
        for name in names:
            key_of(owner.membership, ["usage:read"], name=name)
        api.client.force_login(owner.user)
        matches, cursor = [], ""
        while cursor is not None:
            page = api.get(f"{LIST}?limit=2&cursor={cursor}").json()
            matches += [key["name"] for key in page["data"]]
            cursor = page["nextCursor"]
        assert matches == names[::-1]

    def test_an_unsupported_format_is_refused(self, api, owner):
        answer = api.get(f"{LIST}?format=xml", by=owner)
        assert problem(answer) == (422, "validation_error")
        assert answer.json()["errors"] == [{"field": "format", "message": "Use json."}]

    @pytest.mark.parametrize(
        "query", ["cursor=x", "cursor=cD1ub25zZW5zZQ==", "cursor=cD0A", "cursor=bz0tMQ==", "limit=a", "limit=-1", "limit=1e9"]
    )
    def test_invalid_page_parameters_are_refused(self, api, owner, query):
        for _ in range(3):
            key_of(owner.membership, ["usage:read"])
        assert api.get(f"{LIST}?{query}", by=owner).status_code in (200, 404, 422)

    def test_the_list_shows_last_use_and_never_the_key(self, api, owner):
        _row(owner.key)
        ApiKey.objects.update(last_used_at=datetime(2026, 1, 1, tzinfo=UTC))
        (listed,) = api.get(LIST, by=owner).json()["data"]
        assert listed["lastUsedAt"] == "2026-01-01T00:00:00Z"
        assert owner.key[25:] not in json.dumps(listed)


def test_whoami_returns_the_keys_permissions(api, owner, admin, member, viewer, stranger):
    for person in (owner, admin, member, viewer, stranger):
        body = api.get(ME, by=person).json()
        assert body["organization"] == {
            "id": str(person.organization.pk),
            "name": person.organization.name,
            "slug": person.organization.slug,
        }
        assert body["role"] == person.membership.role
        assert body["scopes"] == sorted(person.caller.scopes)
        assert body["permissions"] == sorted(person.caller.permissions)
        assert body["environment"] == "test"
        assert body["user"] == {"id": person.user.pk, "email": person.user.email, "name": person.user.name}
