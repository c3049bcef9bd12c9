"""Undoing a change of the email address, and releasing addresses that were not confirmed."""

import re
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth import get_user
from django.core import signing
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEvent, Organization, User
from accounts.services import addresses
from accounts.tasks import release_unconfirmed_addresses
from tests.factories.accounts import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
FORM = {"email": "ada@new.example", "password1": PASSWORD, "organization": "Ada & Co"}


@pytest.fixture
def changed(client, mailoutbox):
    """Change the primary address as a thief would and remove the old one. Return the link in the email to the old address."""
    user = UserFactory(email="ada@new.example", password=PASSWORD)
    EmailAddress.objects.create(user=user, email="eve@evil.example", verified=True)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    client.post("/accounts/email/", {"action_primary": "", "email": "eve@evil.example"})
    client.post("/accounts/email/", {"action_remove": "", "email": "ada@new.example"})
    assert User.objects.get().email == "eve@evil.example"
    email = next(mail for mail in mailoutbox if mail.to == ["ada@new.example"])
    return re.search(r"http://localhost:3001(/accounts/undo-email-change/\S+)", email.body)[1]


def test_the_link_restores_the_address_and_ends_every_session(client, changed, mailoutbox):
    owner = Client()
    assert "Restore ada@new.example" in owner.get(changed).text
    assert User.objects.get().email == "eve@evil.example"
    mailoutbox.clear()
    assert "ada@new.example is your address again" in owner.post(changed).text
    user = User.objects.get()
    assert user.email == "ada@new.example" and not user.has_usable_password()
    assert list(user.emailaddress_set.values_list("email", "primary", "verified")) == [("ada@new.example", True, True)]
    assert not get_user(client).is_authenticated
    (email,) = mailoutbox
    assert email.to == ["ada@new.example"] and "/accounts/password/reset/key/" in email.body
    assert AuditEvent.objects.filter(action="user.email_change_undone").count() == 1


def _add_factor(user, days_ago):
    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)
    Authenticator.objects.filter(user=user).update(created_at=timezone.now() - timedelta(days=days_ago))


@pytest.mark.parametrize(("days_ago", "remaining"), [(0, []), (6, []), (8, ["totp"])])
def test_recently_added_second_factors_are_removed(changed, days_ago, remaining):
    """The link removes an address that the thief added before or after the change, but not one that the owner added long before."""
    user = User.objects.get()
    _add_factor(user, days_ago)
    assert Client().post(changed).status_code == 200
    assert list(Authenticator.objects.filter(user=user).values_list("type", flat=True)) == remaining
    event = AuditEvent.objects.get(action="user.email_change_undone")
    assert event.before["removed_authenticators"] == (["recovery_codes"] if remaining else ["recovery_codes", "totp"])


def test_the_undo_link_works_once(changed):
    Client().post(changed)
    again = Client().post(changed)
    assert again.status_code == 404
    assert "This link has already been used. Your account already has this email address." in again.text


@pytest.mark.django_db
def test_the_link_of_a_deleted_account_is_refused():
    answer = Client().post(addresses.undo_url(User(pk=0), "ada@new.example").removeprefix("http://localhost:3001"))
    assert (answer.status_code, "This account no longer exists." in answer.text) == (404, True)


@pytest.mark.parametrize("token", ["x", signing.dumps({"user": 1, "email": "eve@evil.example"})], ids=["no token", "another salt"])
def test_a_forged_link_does_nothing(changed, token):
    assert Client().post(f"/accounts/undo-email-change/{token}/").status_code == 404
    assert User.objects.get().email == "eve@evil.example"


def test_an_old_link_does_nothing(changed, monkeypatch):
    monkeypatch.setattr(addresses, "UNDO_LIFETIME", timedelta(0))
    assert Client().post(changed).status_code == 404


def test_an_address_in_use_by_another_account_is_not_restored(changed):
    UserFactory(email="ada@new.example")
    assert Client().post(changed).status_code == 409
    assert User.objects.filter(email="eve@evil.example", emailaddress__verified=True).exists()


def test_unconfirmed_accounts_and_addresses_expire(client):
    client.post("/accounts/signup/", FORM)
    squatter = UserFactory(email="eve@evil.example", password=PASSWORD)
    client.force_login(squatter)
    client.post("/accounts/email/", {"action_add": "", "email": "victim@new.example"})
    release_unconfirmed_addresses(0)
    assert User.objects.filter(email=FORM["email"], is_active=True).exists()
    assert squatter.emailaddress_set.count() == 2
    User.objects.update(date_joined=timezone.now() - timedelta(days=8))
    # The time of the event cannot be changed, so the lifetime is.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "CLAIM_LIFETIME", timedelta(0))
        release_unconfirmed_addresses(0)
    assert squatter.emailaddress_set.count() == 1
    assert not User.objects.filter(email=FORM["email"]).exists()
    assert Organization.objects.get(name="Ada & Co").closed_at
    assert Client().post("/accounts/signup/", FORM).status_code == 302
    assert User.objects.filter(email=FORM["email"]).exists()


def test_confirmed_and_signed_in_accounts_stay(client):
    UserFactory(email="a@new.example", password=PASSWORD)
    used = UserFactory(email="b@new.example", password=PASSWORD, confirmed=False)
    used.last_login = timezone.now()
    used.save()
    UserFactory(email="c@new.example", confirmed=False)
    User.objects.update(date_joined=timezone.now() - timedelta(days=8))
    assert addresses.expire_sign_ups() == 0


def test_the_page_offers_only_possible_actions(owner):
    client = Client()
    client.force_login(owner.user)
    EmailAddress.objects.update_or_create(user=owner.user, email=owner.user.email, defaults={"primary": True, "verified": True})
    alone = client.get("/accounts/email/").text
    assert "Add email address" in alone
    assert not any(f'name="action_{action}"' in alone for action in ("primary", "send", "remove"))
    second = EmailAddress.objects.create(user=owner.user, email="second@acme.example")
    for verified, offered in ((False, {"send", "remove"}), (True, {"primary", "remove"})):
        second.verified = verified
        second.save()
        page = client.get("/accounts/email/").text
        assert {action for action in ("primary", "send", "remove") if f'name="action_{action}"' in page} == offered
