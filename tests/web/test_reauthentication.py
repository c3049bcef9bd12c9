"""Sensitive changes in an old session ask for the password again, and are made right afterwards."""

import time

import pytest
from allauth.account.models import EmailAddress

from accounts.manager import AuthManager
from accounts.models import ApiKey, Invitation, Membership, Organization
from tests.factories.accounts import PASSWORD

pytestmark = pytest.mark.django_db
HOUR = 3600


@pytest.fixture
def old_session(client, owner):
    """A client whose owner signed in an hour ago."""
    owner.user.set_password(PASSWORD)
    owner.user.save()
    EmailAddress.objects.update_or_create(user=owner.user, email=owner.user.email, defaults={"verified": True, "primary": True})
    client.force_login(owner.user)
    session = client.session
    session["signed_in_at"] = time.time() - HOUR
    session.save()
    return client


def confirm(client, answer):
    """Enter the password on the page that `answer` redirects to."""
    assert answer.status_code == 302 and answer.url.startswith("/accounts/reauthenticate/"), answer
    page = client.get(answer.url)
    assert "Confirm your identity" in page.text
    return client.post(answer.url, {"password": PASSWORD})


def test_a_broad_key_is_created_after_reauthentication(old_session, owner):
    answer = old_session.post("/account/keys/create/", {"name": "Deploys", "scopes": ["keys:write", "usage:write"]})
    assert not ApiKey.objects.exists()
    created = confirm(old_session, answer)
    key = ApiKey.objects.get()
    assert (key.name, key.scopes) == ("Deploys", ["keys:write", "usage:write"])
    assert "cmcp_sk_test_" in (created.text if created.status_code == 200 else old_session.get(created.url).text)


def test_a_wrong_password_changes_nothing(old_session):
    answer = old_session.post("/account/keys/create/", {"name": "Deploys", "scopes": ["keys:write"]})
    old_session.post(answer.url, {"password": "wrong"})
    assert not ApiKey.objects.exists()


def test_default_keys_and_own_keys_need_no_password(old_session, owner):
    assert "cmcp_sk_test_" in old_session.post("/account/keys/create/", {"name": "CI"}, follow=True).text
    old_session.post(f"/account/keys/{ApiKey.objects.get().pk}/revoke/")
    assert ApiKey.objects.get().revoked_at


@pytest.mark.parametrize("action", ["rotate", "revoke"])
def test_keys_of_others_and_broad_keys_need_reauthentication(old_session, owner, member, action):
    if action == "revoke":
        key, _ = AuthManager(owner.organization).generate_key(member.caller, "theirs")
    else:
        key, _ = AuthManager(owner.organization).generate_key(owner.caller, "broad", ["billing:write"])
    answer = old_session.post(f"/account/keys/{key.pk}/{action}/", {"overlap": "0"})
    key.refresh_from_db()
    assert key.revoked_at is None and not key.successors.exists()
    confirm(old_session, answer)
    key.refresh_from_db()
    assert key.revoked_at or key.successors.exists()


def test_taking_over_a_broad_key_needs_reauthentication(old_session, owner, admin):
    key, _ = AuthManager(owner.organization).generate_key(admin.caller, "broad", ["organization:write"])
    Membership.objects.get(user=admin.user).delete()
    answer = old_session.post(f"/account/keys/{key.pk}/take-over/")
    assert not ApiKey.objects.filter(rotated_from=key).exists()
    confirm(old_session, answer)
    assert ApiKey.objects.filter(rotated_from=key).exists()


def test_closing_the_organization_needs_reauthentication(old_session, owner):
    answer = old_session.post("/account/settings/close/confirm/", {"name": "Acme"})
    assert Organization.objects.get().closed_at is None
    confirm(old_session, answer)
    assert Organization.objects.get().closed_at


def test_roles_and_removals_need_reauthentication(old_session, member):
    role = f"/account/team/{member.membership.pk}/role/"
    answer = old_session.post(role, {"role": "admin"})
    assert Membership.objects.get(pk=member.membership.pk).role == "member"
    answer = old_session.post(f"/account/team/{member.membership.pk}/remove/")
    assert Membership.objects.filter(pk=member.membership.pk).exists()
    confirm(old_session, answer)
    assert not Membership.objects.filter(pk=member.membership.pk).exists()


@pytest.mark.parametrize(("role", "requested"), [("owner", True), ("admin", True), ("member", False)])
def test_inviting_owners_and_admins_needs_reauthentication(old_session, monkeypatch, role, requested):
    monkeypatch.setattr("contextmcp.web.entitled_seats.seat_limit", lambda organization: None)
    answer = old_session.post("/account/team/invite/", {"email": "new@acme.example", "role": role})
    assert answer.url.startswith("/accounts/reauthenticate/") is requested
    assert Invitation.objects.exists() is not requested


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("change/confirm/", {"plan": "pro", "interval": "month"}),
        ("cancel-change/", {}),
        ("cancel/confirm/", {}),
        ("pause/", {}),
        ("pause/end/", {}),
        ("resume/", {}),
        ("overage/", {}),
        ("portal/", {}),
    ],
)
def test_billing_needs_reauthentication(old_session, path, form):
    answer = old_session.post(f"/account/billing/{path}", form)
    assert answer.url.startswith("/accounts/reauthenticate/")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/api/auth/generate-key", {"name": "x", "scopes": ["billing:write"]}),
        ("delete", "/api/organization/members/{member}", None),
        ("patch", "/api/organization/members/{member}", {"role": "admin"}),
    ],
)
def test_the_api_refuses_an_old_session_with_a_code(old_session, member, method, path, body):
    address = path.format(member=member.membership.pk)
    answer = getattr(old_session, method)(address, body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")
    assert not ApiKey.objects.exists() and Membership.objects.get(pk=member.membership.pk).role == "member"


def test_an_api_key_is_not_asked_to_reauthenticate(api, owner):
    assert api.post("/api/auth/generate-key", {"name": "x", "scopes": ["billing:write"]}, by=owner).status_code == 201


def test_a_later_reauthentication_does_not_submit_an_old_form(old_session, member):
    old_session.post("/account/settings/close/confirm/", {"name": "Acme"})
    old_session.post("/accounts/reauthenticate/?next=/account/team/", {"password": PASSWORD})
    assert Organization.objects.get().closed_at is None
