"""The framework's pages of sign-in and confirmation use our texts and layout."""

import time

import pytest
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from tests.factories.accounts import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


def page_of(answer, title):
    assert answer.status_code == 200
    assert "web/site.css" in answer.text and f"<h1>{title}</h1>" in answer.text
    return answer.text


@pytest.fixture
def signed_in(client):
    """A client that signed in an hour ago."""
    user = UserFactory(email="ada@new.example", password=PASSWORD)
    client.force_login(user)
    session = client.session
    session["signed_in_at"] = time.time() - 3600
    session.save()
    client.user = user
    return client


def test_a_session_that_is_too_old_for_a_change(signed_in):
    text = page_of(signed_in.get("/accounts/reauthenticate/?next=/accounts/email/"), "Confirm your identity")
    assert 'type="password"' in text and 'value="/accounts/email/"' in text
    assert signed_in.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/accounts/email/"})["Location"] == "/accounts/email/"


def test_reauthentication_with_a_second_factor(signed_in):
    TOTP.activate(signed_in.user, generate_totp_secret())
    assert "Or use another method" in page_of(signed_in.get("/accounts/reauthenticate/"), "Confirm your identity")
    assert "your authenticator app" in page_of(signed_in.get("/accounts/2fa/reauthenticate/"), "Confirm your identity")


def test_the_link_that_confirms_an_address(signed_in):
    address = EmailAddress.objects.create(user=signed_in.user, email="second@new.example", verified=False)
    link = f"/accounts/confirm-email/{EmailConfirmationHMAC(address).key}/"
    assert "second@new.example" in page_of(signed_in.get(link), "Confirm your email address")
    assert signed_in.post(link).status_code == 302
    address.refresh_from_db()
    assert address.verified


def test_an_invalid_confirmation_link():
    page_of(Client().get("/accounts/confirm-email/nonsense/"), "This link is no longer valid")


def test_an_address_that_another_account_has_confirmed(signed_in):
    address = EmailAddress.objects.create(user=signed_in.user, email="second@new.example", verified=False)
    EmailAddress.objects.create(user=UserFactory(), email="second@new.example", verified=True)
    text = page_of(signed_in.get(f"/accounts/confirm-email/{EmailConfirmationHMAC(address).key}/"), "This address cannot be confirmed")
    assert "Another account has already confirmed second@new.example" in text


def test_an_account_that_was_deactivated(client):
    page_of(client.get("/accounts/inactive/"), "This account is inactive")
