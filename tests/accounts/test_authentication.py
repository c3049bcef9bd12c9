"""Which keys authenticate, and the error codes of all others."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import key_format
from accounts.errors import KeyExpired, KeyNotFound, KeyRevoked, PermissionDenied
from accounts.manager import AuthManager
from accounts.models import ApiKey, Membership
from contextmcp.common.clock import now
from tests.factories.accounts import key_of
from tests.support.api import problem

ME = "/api/auth/whoami"


def _refused(raw):
    with pytest.raises(Exception) as refusal:
        AuthManager.authenticate(raw)
    return type(refusal.value)


def test_a_valid_key_acts_for_its_creator(acme, member):
    caller = AuthManager.authenticate(member.key)
    assert (caller.organization, caller.user, caller.role) == (acme, member.user, "member")
    assert caller.key == ApiKey.objects.get()


def test_one_indexed_row_is_read(owner):
    raw = owner.key
    with CaptureQueriesContext(
        connection,
    ) as queries:
        AuthManager.authenticate(raw)
    assert len(queries) == 1


@pytest.mark.parametrize("raw", ["", "x", "cmcp_sk_test_", "cmcp_sk_test_" + "0" * 50, "é" * 63, "\ud800" * 63])
def test_a_malformed_key_takes_no_query(raw, db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert _refused(raw).code == "invalid_key_format"


def test_a_key_of_another_environment_takes_no_query(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert _refused(key_format.generate("live")).code == "environment_mismatch"


def test_an_unknown_key_is_not_found(db):
    assert _refused(key_format.generate("test")) is KeyNotFound


def test_a_wrong_secret_is_refused_without_bcrypt(owner, monkeypatch):
    monkeypatch.setattr(key_format, "verify_bcrypt", lambda *_: pytest.fail("bcrypt was asked"))
    body = owner.key[: key_format.PREFIX_LENGTH + key_format.PUBLIC_LENGTH] + "x" * key_format.SECRET_LENGTH
    assert _refused(body + key_format.checksum(body)) is KeyNotFound


def test_a_revoked_key_is_refused(owner):
    raw = owner.key
    AuthManager(owner.organization).revoke_key(owner.caller, ApiKey.objects.get().pk)
    assert _refused(raw) is KeyRevoked


def test_expiration_uses_the_organizations_clock(acme, owner):
    raw = key_of(owner.membership, ["usage:read"], expires_at=now() + timedelta(days=3))
    AuthManager(acme).set_clock(timedelta(days=2, hours=23, minutes=59), "clock_1")
    AuthManager.authenticate(raw)
    AuthManager(acme).set_clock(timedelta(days=3), "clock_1")
    assert _refused(raw) is KeyExpired


def test_keys_of_a_closed_organization_are_refused(acme, owner):
    raw = owner.key
    AuthManager(acme).close(owner.caller)
    assert _refused(raw) is KeyRevoked
    ApiKey.objects.update(revoked_at=None)
    assert _refused(raw) is KeyRevoked


def test_a_key_is_refused_after_its_creator_left(acme, owner, member):
    raw = member.key
    AuthManager(acme).remove_member(owner.caller, member.membership.pk)
    with pytest.raises(PermissionDenied, match="left the organization"):
        AuthManager.authenticate(raw)


def test_a_key_is_refused_while_its_creator_is_inactive(member):
    raw = member.key
    member.user.is_active = False
    member.user.save()
    with pytest.raises(PermissionDenied, match="inactive"):
        AuthManager.authenticate(raw)


def test_a_key_needs_the_scope_and_the_current_role(acme, owner, admin):
    raw = key_of(admin.membership, ["organization:write", "usage:write", "usage:read"])
    AuthManager(acme).change_role(owner.caller, admin.membership.pk, "viewer")
    caller = AuthManager.authenticate(raw)
    assert caller.scopes == {"usage:read"}
    assert caller.permissions == {"projects:view", "contexts:view", "analytics:view"}
    with pytest.raises(PermissionDenied):
        caller.require(scope="usage:write")


class TestOverHttp:
    def test_the_scheme_is_bearer_in_any_case(self, api, owner):
        assert api.get(ME, Authorization=f"bearer  {owner.key} ").status_code == 200

    @pytest.mark.parametrize("header", ["Basic eDp5", "Bearer", "Bearer ", "Bearer a b", "Bearer \xff", "x"])
    def test_other_headers_are_malformed(self, api, db, header):
        response = api.get(ME, Authorization=header)
        assert problem(response) == (401, "invalid_key_format")
        assert response["WWW-Authenticate"] == "Bearer"

    def test_a_request_without_credentials_is_challenged(self, api, db):
        response = api.get(ME)
        assert problem(response) == (401, "credentials_missing")
        assert response["WWW-Authenticate"] == "Bearer"

    def test_an_invalid_key_is_refused_despite_a_session(self, api, owner):
        api.client.force_login(owner.user)
        assert problem(api.get(ME, by=key_format.generate("test"))) == (401, "key_not_found")

    def test_each_refusal_has_its_code(self, api, acme, owner):
        expired = key_of(owner.membership, ["usage:read"], expires_at=now() + timedelta(hours=1))
        revoked = key_of(owner.membership, ["usage:read"])
        AuthManager(acme).revoke_key(owner.caller, ApiKey.objects.get(public_id=key_format.parse(revoked).public_id).pk)
        AuthManager(acme).set_clock(timedelta(hours=2), "clock_1")
        assert problem(api.get(ME, by=expired)) == (401, "key_expired")
        assert api.get(ME, by=expired).json()["expiredAt"].endswith("Z")
        assert problem(api.get(ME, by=revoked)) == (401, "key_revoked")
        assert problem(api.get(ME, by=key_format.generate("live"))) == (401, "environment_mismatch")


class TestInASession:
    def test_a_member_is_authenticated(self, api, member):
        api.client.force_login(member.user)
        body = api.get(ME).json()
        assert (body["user"]["email"], body["role"], body["key"]) == (member.user.email, "member", None)

    def test_the_selected_organization_is_used_while_it_exists(self, api, acme, member, stranger):
        Membership.objects.create(organization=stranger.organization, user=member.user, role="viewer")
        api.client.force_login(member.user)
        session = api.client.session
        session["organization_id"] = str(stranger.organization.pk)
        session.save()
        assert api.get(ME).json()["organization"]["name"] == "Elsewhere"
        AuthManager(stranger.organization).close(stranger.caller)
        assert api.get(ME).json()["organization"]["name"] == "Acme"

    @pytest.mark.parametrize("chosen", ["nonsense", None, 7, "00000000-0000-0000-0000-000000000000"])
    def test_without_a_selection_the_first_joined_organization_is_used(self, api, member, chosen):
        api.client.force_login(member.user)
        session = api.client.session
        session["organization_id"] = chosen
        session.save()
        assert api.get(ME).json()["organization"]["name"] == "Acme"

    def test_another_organizations_id_gives_no_access(self, api, member, stranger):
        api.client.force_login(member.user)
        session = api.client.session
        session["organization_id"] = str(stranger.organization.pk)
        session.save()
        assert api.get(ME).json()["organization"]["name"] == "Acme"

    def test_a_user_without_an_organization_is_denied(self, api, member):
        member.membership.delete()
        api.client.force_login(member.user)
        assert problem(api.get(ME)) == (403, "permission_denied")

    def test_changes_need_the_csrf_token(self, api, member):
        api.client.handler.enforce_csrf_checks = True
        api.client.force_login(member.user)
        assert problem(api.post("/api/auth/generate-key", {"name": "x"})) == (403, "permission_denied")


@pytest.mark.parametrize(
    "path",
    [
        "/api/auth/keys",
        "/api/auth/whoami",
        "/api/billing/invoices",
        "/api/billing/subscription",
        "/api/entitlements",
        "/api/organization",
        "/api/organization/invitations",
        "/api/organization/members",
        "/api/plans",
        "/api/usage/current",
        "/api/usage/history",
        "/api/webhook-endpoints",
    ],
)
def test_an_unknown_query_parameter_is_refused(api, owner, path):
    response = api.get(f"{path}?limti=3", by=owner)
    assert problem(response) == (400, "unknown_parameter")
    assert response.json()["errors"] == [{"field": "limti", "message": "Unknown query parameter."}]
