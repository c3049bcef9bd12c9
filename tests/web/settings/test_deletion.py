"""Users delete their own account."""

import time

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth import get_user
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.errors import KeyNotFound, LastOwner, OnlyOwner, PermissionDenied, StaffAccountNotDeletable
from accounts.manager import AuthManager
from accounts.models import ApiKey, AuditEvent, Membership, OAuthGrant, User
from accounts.services import account_deletion
from contextmcp.common.clock import now
from tests.factories.accounts import PASSWORD, UserFactory
from tests.factories.oauth import connect_app

pytestmark = pytest.mark.django_db
PAGE, CONFIRM = "/accounts/delete/", "/accounts/delete/confirm/"


def signed_in(user: User, address: str = "192.0.2.1") -> Client:
    client = Client(REMOTE_ADDR=address)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def test_a_member_deletes_the_account(acme, owner, member):
    user = member.user
    user.set_password(PASSWORD)
    user.save()
    _, raw = AuthManager(acme).generate_key(member.caller, "Laptop")
    connect_app(member.membership)
    here, other = signed_in(user), signed_in(user, "192.0.2.2")
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "x"})
    assert "Your membership of Acme." in here.get(PAGE).text
    page = here.post(CONFIRM, {"email": "Member@acme.example"}, follow=True)
    assert "Your account was deleted." in page.text and page.request["PATH_INFO"] == "/accounts/login/"
    assert not get_user(here).is_authenticated and not get_user(other).is_authenticated
    row = User.objects.get(pk=user.pk)
    assert (row.email, row.name, row.is_active) == (f"{row.pk}@deleted.invalid", "Deleted user", False)
    assert not row.has_usable_password()
    for model in (EmailAddress, Authenticator, UserSession, Membership):
        assert not model.objects.filter(user=row).exists(), model
    assert not OAuthGrant.objects.exists()
    with pytest.raises((PermissionDenied, KeyNotFound)):
        AuthManager.authenticate(raw)
    assert ApiKey.objects.get().status(now()) == "orphaned"
    email = mail.outbox[-1]
    assert email.to == ["member@acme.example"] and "was deleted" in email.subject
    actions = list(AuditEvent.objects.filter(actor_user=row).order_by("id").values_list("action", flat=True))
    assert actions[-2:] == ["member.removed", "user.deleted"]
    assert not here.login(email="member@acme.example", password=PASSWORD)


def test_the_history_says_deleted_user(acme, owner, admin, sign_in):
    AuthManager(acme).generate_key(owner.caller, "Laptop")
    Membership.objects.filter(pk=admin.membership.pk).update(role="owner")
    account_deletion.delete_account(owner.user)
    assert "Deleted user created the API key Laptop" in sign_in(admin).get(reverse("activity")).text


def test_the_only_owner_must_hand_over_or_close_first(owner, admin, sign_in):
    second = AuthManager.create_organization(owner.user, "Second")
    client = sign_in(owner)
    page = client.get(PAGE).text
    assert "Acme" in page and "Second" in page and 'name="email"' not in page
    assert "only owner of an organization" in client.post(CONFIRM, {"email": owner.user.email}, follow=True).text
    assert client.post(reverse("switch-organization"), {"organization": str(second.pk), "next": reverse("close-page")}).url == reverse(
        "close-page"
    )
    AuthManager(second).close(AuthManager(second).as_member(owner.user))
    Membership.objects.filter(pk=admin.membership.pk).update(role="owner")
    assert 'name="email"' in client.get(PAGE).text
    client.post(CONFIRM, {"email": owner.user.email})
    assert not Membership.objects.filter(user=owner.user).exists()
    with pytest.raises(OnlyOwner):
        account_deletion.delete_account(admin.user)


def test_an_owner_who_leaves_in_the_meantime(owner, admin, monkeypatch):
    """The check at the beginning is repeated under the organization's lock."""
    monkeypatch.setattr(account_deletion, "owned_alone", lambda user: [])
    with pytest.raises(LastOwner):
        account_deletion.delete_account(owner.user)
    owner.user.refresh_from_db()
    assert owner.user.is_active and Membership.objects.filter(user=owner.user).exists() and not mail.outbox


def test_a_wrong_address_deletes_nothing_and_is_kept(member, sign_in):
    client = sign_in(member)
    page = client.post(CONFIRM, {"email": "someone@else.example"}, follow=True).text
    assert "This is not your email address" in page and 'value="someone@else.example"' in page
    assert User.objects.get(pk=member.user.pk).is_active


def test_an_old_session_authenticates_again(member):
    member.user.set_password(PASSWORD)
    member.user.save()
    client = signed_in(member.user)
    session = client.session
    session["signed_in_at"] = time.time() - 3600
    session.save()
    answer = client.post(CONFIRM, {"email": member.user.email})
    assert answer.url.startswith("/accounts/reauthenticate/")
    assert User.objects.get(pk=member.user.pk).is_active
    client.post(answer.url, {"password": PASSWORD}, follow=True)
    assert not User.objects.get(pk=member.user.pk).is_active


def test_staff_accounts_are_not_deleted_here(db):
    staff = UserFactory(is_staff=True)
    with pytest.raises(StaffAccountNotDeletable):
        account_deletion.delete_account(staff)


def test_deleting_twice_does_one_thing(db):
    user = UserFactory()
    account_deletion.delete_account(user)
    account_deletion.delete_account(user)
    assert len(mail.outbox) == 1


def test_the_address_can_sign_up_again(member):
    account_deletion.delete_account(member.user)
    again = UserFactory(email="member@acme.example")
    assert again.pk != member.user.pk


def test_a_closed_organization_does_not_prevent_it(owner):
    AuthManager(owner.organization).close(owner.caller)
    account_deletion.delete_account(owner.user)
    assert not User.objects.get(pk=owner.user.pk).is_active


def test_a_user_without_an_organization(sign_in):
    user = UserFactory()
    client = sign_in(user)
    assert "What ends" in client.get(PAGE).text
    client.post(CONFIRM, {"email": user.email})
    assert not User.objects.get(pk=user.pk).is_active


def test_pending_invitations_of_the_user_are_revoked(acme, owner, admin, settings):
    settings.SEAT_LIMIT = "tests.support.seats.unlimited"
    invitation = AuthManager(acme).invite(admin.caller, "grace@new.example", "viewer")
    account_deletion.delete_account(admin.user)
    invitation.refresh_from_db()
    assert invitation.revoked_at
