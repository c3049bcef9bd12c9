"""Staff actions on users' accounts: only superusers change rights, and affected users are notified."""

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.models import Group, Permission
from django.core import mail
from django.test import Client

from accounts.models import AuditEvent, User
from tests.factories.accounts import UserFactory

INLINE = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}


def client_of(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def support(db):
    user = UserFactory(email="support@staff.example", is_staff=True)
    user.groups.add(Group.objects.get(name="support"))
    return user


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root@staff.example", "x")


def change(client, user, **params):
    return client.post(
        f"/admin/accounts/user/{user.pk}/change/",
        {"email": user.email, "name": "N", "is_active": "on", "reason": "Ticket 7", **params} | INLINE,
    )


def act(client, action, row, model="accounts/user"):
    params = {"action": action, "_selected_action": [row.pk], "confirmed": "1", "reason": "Ticket 7"}
    return client.post(f"/admin/{model}/", params, follow=True).text


def test_support_cannot_change_permissions(support, owner, root):
    everything = [each.pk for each in Permission.objects.all()]
    rights = {"is_superuser": "on", "is_staff": "on", "user_permissions": everything, "groups": [Group.objects.first().pk]}
    assert change(client_of(support), support, **rights).status_code == 403
    assert change(client_of(support), root, **rights).status_code == 403
    change(client_of(support), owner.user, **rights)
    for user in (support, owner.user):
        user.refresh_from_db()
        assert not user.is_superuser
        assert not user.user_permissions.exists()
    assert not owner.user.is_staff


def test_an_owners_permission_changes_are_audited(root, owner):
    change(client_of(root), owner.user, is_staff="on", groups=[Group.objects.get(name="finance").pk])
    event = AuditEvent.objects.get(action="user.changed")
    assert (event.before["groups"], event.after["groups"]) == ([], ["finance"])
    assert (event.before["is_staff"], event.after["is_staff"]) == (False, True)
    change(client_of(root), root)
    root.refresh_from_db()
    assert root.is_superuser


def test_staff_cannot_set_passwords(root, support, owner):
    for actor in (root, support):
        params = {"password1": "a long enough one", "password2": "a long enough one"}
        assert client_of(actor).post(f"/admin/accounts/user/{owner.user.pk}/password/", params).status_code == 403
    assert "1 password reset link sent" in act(client_of(support), "send_password_reset", owner.user)
    assert [email.to for email in mail.outbox] == [[owner.user.email]]
    assert AuditEvent.objects.get(action="user.password_reset_sent").reason == "Ticket 7"


def test_a_changed_address_replaces_the_old_one(support, owner, django_capture_on_commit_callbacks):
    user = owner.user
    user.set_password("the first password")
    user.save()
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"primary": True, "verified": True})
    theirs = Client()
    theirs.post("/accounts/login/", {"login": user.email, "password": "the first password"})
    assert theirs.get("/account/").status_code == 200
    theirs.post("/accounts/password/reset/", {"email": user.email})
    link = next(word for word in mail.outbox[-1].body.split() if "/accounts/password/reset/key/" in word)
    mail.outbox.clear()
    old = user.email
    with django_capture_on_commit_callbacks(execute=True):
        change(client_of(support), user, email="Olga@new.example")
    assert list(EmailAddress.objects.filter(user=user).values_list("email", "primary", "verified")) == [("olga@new.example", True, False)]
    assert theirs.get("/account/").status_code == 302
    assert "_auth_user_id" not in theirs.session
    assert Client().get(link.partition("localhost:3001")[2], follow=True).context["token_fail"]
    fresh = Client()
    fresh.post("/accounts/login/", {"login": old, "password": "the first password"})
    assert "_auth_user_id" not in fresh.session
    assert sorted(email.to[0] for email in mail.outbox) == ["olga@new.example", old]
    assert AuditEvent.objects.get(action="user.email_changed").before["email"] == old


def test_an_address_in_use_is_refused_and_nothing_changes(support, owner, stranger):
    EmailAddress.objects.create(user=stranger.user, email="taken@else.example", verified=True)
    form = {"email": "taken@else.example", "name": "Changed", "reason": "Ticket 7"}
    page = client_of(support).post(f"/admin/accounts/user/{owner.user.pk}/change/", form | INLINE, follow=True)
    assert "Another account uses this email address." in page.text
    assert "changed successfully" not in page.text
    owner.user.refresh_from_db()
    assert (owner.user.email, owner.user.name) == ("owner@acme.example", "Olga Owner")


def test_second_factor_reset_needs_a_reason_and_sends_an_email(support, owner, root, django_capture_on_commit_callbacks):
    TOTP.activate(owner.user, "JBSWY3DPEHPK3PXP")
    TOTP.activate(root, "JBSWY3DPEHPK3PXP")
    with django_capture_on_commit_callbacks(execute=True):
        assert "1 second factor reset" in act(client_of(support), "reset_second_factor", owner.user)
    assert "Only an owner" in act(client_of(support), "reset_second_factor", root)
    assert list(Authenticator.objects.values_list("user", flat=True)) == [root.pk]
    assert [email.to for email in mail.outbox] == [[owner.user.email]]
    event = AuditEvent.objects.get(action="user.second_factor_reset")
    assert (event.before, event.reason) == ({"authenticators": ["totp"]}, "Ticket 7")


def test_an_address_is_marked_as_verified_once(support, owner):
    row, _ = EmailAddress.objects.update_or_create(user=owner.user, email=owner.user.email, defaults={"primary": True, "verified": False})
    assert "1 address verified" in act(client_of(support), "verify", row, "account/emailaddress")
    assert "already verified" in act(client_of(support), "verify", row, "account/emailaddress")
    assert AuditEvent.objects.get(action="email.verified").actor_user == support


def test_no_page_shows_a_second_factors_secret(root, owner):
    row = TOTP.activate(owner.user, "JBSWY3DPEHPK3PXP").instance
    for path in ("", f"{row.pk}/change/"):
        page = client_of(root).get(f"/admin/mfa/authenticator/{path}")
        assert page.status_code == 200
        assert row.data["secret"] not in page.text
        assert "JBSWY3DPEHPK3PXP" not in page.text
