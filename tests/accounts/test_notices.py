"""Emails about sign-ins, keys, apps, members and organizations, in the recipient's language."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts import emails
from accounts.manager import AuthManager
from accounts.models import ApiKey, AuditEvent, User
from accounts.services import key_expiry
from accounts.tasks import remind_of_expiring_keys
from contextmcp.common.clock import now
from tests.factories.accounts import PASSWORD, UserFactory
from tests.support.oauth import App, browser_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def free_seats(settings):
    settings.SEAT_LIMIT = "tests.support.seats.unlimited"


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"


def sign_in(client, user, address="203.0.113.7"):
    headers = {"HTTP_USER_AGENT": FIREFOX, "REMOTE_ADDR": address}
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}, **headers).status_code == 302


def test_only_a_sign_in_with_a_new_browser_in_a_new_network_is_reported(mailoutbox):
    user = UserFactory(password=PASSWORD, language="de", time_zone="Europe/Berlin")
    known = Client()
    sign_in(known, user)
    # The network is known, then the browser.
    sign_in(Client(), user)
    known.post("/accounts/logout/")
    sign_in(known, user, "198.51.100.9")
    assert mailoutbox == []
    sign_in(Client(), user, "192.0.2.33")
    (email,) = mailoutbox
    assert (email.to, email.subject) == ([user.email], "Neue Anmeldung bei Ihrem Konto")
    assert "Firefox unter Linux" in email.body and "192.0.2.33" in email.body
    # The cookie of another user has no effect.
    other = UserFactory(password=PASSWORD)
    sign_in(Client(), other, "192.0.2.34")
    known.post("/accounts/logout/")
    sign_in(known, other, "192.0.2.35")
    assert mailoutbox[-1].subject == "New sign-in to your account"


def test_both_addresses_are_told_of_a_change(client, mailoutbox):
    user = UserFactory(email="ada@new.example", password=PASSWORD)
    user.emailaddress_set.create(email="ada@other.example", verified=True)
    sign_in(client, user)
    client.post("/accounts/email/", {"action_primary": "", "email": "ada@other.example"})
    assert {email.to[0]: "/undo-email-change/" in email.body for email in mailoutbox} == {
        "ada@new.example": True,
        "ada@other.example": False,
    }
    assert all(email.alternatives for email in mailoutbox)


def test_a_key_that_expires_is_announced_once_to_its_creator(acme, owner, member, mailoutbox):
    User.objects.filter(pk=member.user.pk).update(language="fr")
    manager, present = AuthManager(acme), now(acme)
    manager.generate_key(member.caller, "CI", expires_at=present + timedelta(days=6))
    manager.generate_key(owner.caller, "Later", expires_at=present + timedelta(days=60))
    rotated, _ = manager.generate_key(owner.caller, "Rotated", expires_at=present + timedelta(days=60))
    manager.rotate_key(owner.caller, rotated.pk, timedelta(days=5))
    short, _ = manager.generate_key(owner.caller, "Short", expires_at=present + timedelta(days=5))
    ApiKey.objects.exclude(pk=short.pk).update(created_at=present - timedelta(days=30))
    remind_of_expiring_keys(0)
    (email,) = mailoutbox
    assert (email.to, email.subject) == ([member.user.email], "La clé API «\xa0CI\xa0» expire bientôt")
    assert key_expiry.remind_of_expiring_keys() == 0


def test_a_key_that_staff_revoke_is_reported_to_its_creator_and_the_owners(acme, owner, member, mailoutbox):
    key, _ = AuthManager(acme).generate_key(member.caller, "CI")
    AuthManager(acme).revoke_key(UserFactory(is_staff=True), key.pk, reason="Ticket 7")
    assert {(email.to[0], email.subject) for email in mailoutbox} == {
        (person.user.email, "The API key “CI” was revoked") for person in (owner, member)
    }
    mailoutbox.clear()
    # Members know what they do themselves.
    key, _ = AuthManager(acme).generate_key(member.caller, "Laptop")
    AuthManager(acme).revoke_key(member.caller, key.pk)
    assert mailoutbox == []


def test_owners_are_told_who_joined(acme, owner, mailoutbox):
    AuthManager(acme).invite(owner.caller, "grace@new.example", "member")
    token = mailoutbox.pop().body.split("/invitations/")[1].split("/")[0]
    AuthManager.accept_invitation(token, UserFactory(email="grace@new.example", name="Grace"), None)
    (email,) = mailoutbox
    assert (email.to, email.subject) == ([owner.user.email], "grace@new.example joined “Acme”")


def test_owners_are_told_that_the_organization_was_closed(acme, owner, mailoutbox):
    AuthManager(acme).close(owner.caller)
    (email,) = mailoutbox
    assert (email.to, email.subject) == ([owner.user.email], "“Acme” was closed")
    assert f"/account/closed/{acme.pk}/" in email.body


def test_a_confirmed_address_is_welcomed_once(client, mailoutbox):
    client.post("/accounts/signup/", {"email": "ada@new.example", "password1": PASSWORD, "organization": "Ada & Co"})
    user = User.objects.get()
    link = next(word for word in mailoutbox[0].body.split() if "/confirm-email/" in word)
    client.post(link.removeprefix("http://localhost:3001"))
    assert [email.subject for email in mailoutbox[1:]] == ["Welcome to ContextMCP"]
    user.emailaddress_set.create(email="ada@other.example").send_confirmation()
    link = next(word for word in mailoutbox[-1].body.split() if "/confirm-email/" in word)
    client.post(link.removeprefix("http://localhost:3001"))
    assert [email.subject for email in mailoutbox].count("Welcome to ContextMCP") == 1
    assert AuditEvent.objects.filter(action="user.email_confirmed").count() == 2


def test_an_invitation_is_in_the_language_of_who_reads_it(acme, owner, mailoutbox):
    User.objects.filter(pk=owner.user.pk).update(language="de", time_zone="Europe/Berlin")
    owner.user.refresh_from_db()
    UserFactory(email="jean@new.example", language="fr")
    for address in ("grace@new.example", "jean@new.example"):
        AuthManager(acme).invite(owner.caller, address, "admin")
    subjects = [email.subject for email in mailoutbox]
    assert subjects == ["Einladung zu „Acme“ bei ContextMCP", "Invitation à rejoindre «\xa0Acme\xa0» sur ContextMCP"]
    assert "mit der Rolle „Administrator“" in mailoutbox[0].body
    assert emails.INVITATION == "invitation"


def test_a_connected_app_is_reported_to_the_user(member, mailoutbox):
    App(browser_of(member)).connect()
    (email,) = mailoutbox
    assert (email.to, email.subject) == ([member.user.email], "Test app is connected to your account")
