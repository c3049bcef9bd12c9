"""Creating, changing and closing organizations; callers outside of DRF."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts.authentication import SignedInAuthentication, caller
from accounts.errors import OrganizationLimitReached, PermissionDenied, Unauthenticated
from accounts.manager import AuthManager
from accounts.models import AuditEvent, Invitation, Organization
from accounts.services.invitations import digest
from accounts.signals import organization_closed
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound, ValidationFailed
from tests.factories.accounts import UserFactory, key_of


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", "a\0b"])
def test_invalid_names_are_refused(db, owner, name):
    with pytest.raises(ValidationFailed):
        AuthManager.create_organization(UserFactory(), name)
    with pytest.raises(ValidationFailed):
        AuthManager(owner.organization).update(owner.caller, name=name, email="a@b.example")


def test_a_key_entered_as_a_name_is_not_stored(owner):
    assert AuthManager.clean_name(f"Acme {owner.key}") == "Acme cmcp_sk_test_***"


def test_closing_revokes_keys_and_invitations_and_sends_the_signal(acme, owner):
    messages = []
    organization_closed.connect(listener := lambda **notices: messages.append(notices["organization"]))
    Invitation.objects.create(organization=acme, email="g@new.example", token_digest=digest("t"), expires_at=now())
    assert owner.key
    AuthManager(acme).close(owner.caller)
    AuthManager(acme).close(None)
    organization_closed.disconnect(listener)
    assert messages == [acme] and acme.closed_at is not None
    event = AuditEvent.objects.get(action="organization.closed")
    assert (event.after, str(event)) == ({"keys": 1, "apps": 0, "invitations": 1}, f"organization.closed {acme.pk}")
    with pytest.raises(NotFound):
        AuthManager(acme).change_role(None, owner.membership.pk, "admin")


def test_only_an_owner_can_close_or_change(acme, admin, stranger):
    for person in (admin, stranger):
        with pytest.raises(PermissionDenied):
            AuthManager(acme).close(person.caller)
        with pytest.raises(PermissionDenied):
            AuthManager(acme).update(person.caller, name="Mine", email="x@y.example")


class TestCaller:
    def test_the_caller_of_a_django_view(self, rf, member):
        request = rf.get("/")
        request.session = {}
        request.user = AnonymousUser()
        with pytest.raises(Unauthenticated):
            caller(request)
        request.user = member.user
        assert caller(request).role == "member"
        member.membership.delete()
        following = rf.get("/")
        following.session, following.user = {}, member.user
        with pytest.raises(PermissionDenied):
            caller(following)

    def test_an_anonymous_api_request_has_no_caller(self, rf):
        with pytest.raises(Unauthenticated):
            caller(Request(APIRequestFactory().get("/")))

    def test_a_signed_in_user_may_have_no_organization(self, rf, db):
        plain = rf.get("/")
        plain.user = UserFactory()
        request = Request(plain, authenticators=[SignedInAuthentication()])
        assert (request.user, request.auth) == (plain.user, None)

    def test_inactive_user_is_anonymous(self, rf, member):
        request = rf.get("/")
        request.session = {}
        member.user.is_active = False
        request.user = member.user
        with pytest.raises(PermissionDenied):
            caller(request)


def test_a_key_without_organization_write_cannot_close(acme, owner):
    raw = key_of(owner.membership, ["usage:read"])
    with pytest.raises(Exception, match="insufficient_scope"):
        AuthManager(acme).close(AuthManager.authenticate(raw))


def test_the_openapi_document_describes_authentication(client, db):
    document = client.get("/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    assert set(document["components"]["securitySchemes"]) >= {"apiKey", "session"}
    operation = document["paths"]["/api/auth/generate-key"]["post"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["Idempotency-Key"]
    assert operation["requestBody"]["content"]["application/json"]["examples"]
    assert {"/api/auth/whoami", "/api/auth/keys/{key_id}/take-over", "/api/organization/members/{member_id}"} <= set(document["paths"])


@pytest.mark.parametrize(
    "name", ["https://evil.example", "Unlock at evil.example/unlock", "see www.evil.example", "mail a@evil.example", "mailto:a", "x\ny"]
)
def test_a_name_must_not_contain_an_address(acme, owner, name):
    for act in (
        lambda: AuthManager.create_organization(owner.user, name),
        lambda: AuthManager(acme).update(owner.caller, name=name, email=acme.email),
        lambda: AuthManager(acme).update(None, name=name, email=acme.email),
    ):
        with pytest.raises(ValidationFailed):
            act()


@pytest.mark.parametrize("name", ["Booking.com", "Node.js Foundation", "A/B Testing & Co.", "AT&T @ Home"])
def test_domain_like_company_names_are_accepted(owner, name):
    assert AuthManager.create_organization(owner.user, name).name == name


def test_unconfirmed_users_can_own_one_organization(db):
    user = UserFactory(confirmed=False)
    first = AuthManager.create_organization(user, "One")
    AuthManager(first).close(None)
    with pytest.raises(OrganizationLimitReached, match="Confirm your email address"):
        AuthManager.create_organization(user, "Two")
    user.emailaddress_set.update(verified=True)
    assert AuthManager.create_organization(user, "Two")


def test_a_user_can_own_a_limited_number_of_organizations(owner, settings):
    settings.ORGANIZATIONS_PER_USER = 2
    second = AuthManager.create_organization(owner.user, "Two")
    with pytest.raises(OrganizationLimitReached):
        AuthManager.create_organization(owner.user, "Three")
    # A closed organization counts for 30 days, so that closing it does not make room for another free plan at once.
    AuthManager(second).close(None)
    with pytest.raises(OrganizationLimitReached):
        AuthManager.create_organization(owner.user, "Three")
    Organization.objects.filter(pk=second.pk).update(created_at=now() - timedelta(days=31))
    assert AuthManager.create_organization(owner.user, "Three")
