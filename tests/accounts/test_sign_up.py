"""Signing up, in and back in (django-allauth with our form and adapter)."""

import re
import threading

import pytest
from django.contrib.auth import get_user
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from accounts.forms import SignupForm
from accounts.models import AuditEvent, Membership, Organization, User
from tests.factories.accounts import PASSWORD, UserFactory

FORM = {"email": "ada@new.example", "password1": PASSWORD, "organization": "Ada & Co"}
pytestmark = pytest.mark.django_db


def _signed_in(client):
    return get_user(client).is_authenticated


def test_one_form_makes_the_user_the_organization_and_its_owner(client, mailoutbox):
    response = client.post("/accounts/signup/", FORM)
    assert (response.status_code, response["Location"]) == (302, "/")
    member = Membership.objects.select_related("user", "organization").get()
    assert (member.user.email, member.role) == ("ada@new.example", "owner")
    assert (member.organization.name, member.organization.slug, member.organization.email) == ("Ada & Co", "ada-co", "ada@new.example")
    assert _signed_in(client)
    assert set(AuditEvent.objects.values_list("action", flat=True)) == {"user.signed_up", "user.signed_in", "organization.created"}
    (letter,) = mailoutbox
    assert letter.to == ["ada@new.example"]
    link = re.search(r"http://localhost:3001(/accounts/confirm-email/\S+)", letter.body)[1]
    assert link in letter.alternatives[0][0]


def test_the_address_is_confirmed_by_its_link(client, mailoutbox):
    client.post("/accounts/signup/", FORM)
    client.post(re.search(r"http://localhost:3001(/accounts/confirm-email/\S+)", mailoutbox[0].body)[1])
    assert User.objects.get().emailaddress_set.get().verified


def test_a_second_address_needs_a_confirmed_first_one(client, mailoutbox):
    """Or whoever signs up with the address of another, and adds one of their own, is back in after its owner has taken over."""
    client.post("/accounts/signup/", FORM)
    first = mailoutbox.pop()
    page = client.post("/accounts/email/", {"action_add": "", "email": "other@example.com"}).text
    assert "Confirm ada@new.example first" in page
    assert not mailoutbox
    client.post(re.search(r"http://localhost:3001(/accounts/confirm-email/\S+)", first.body)[1])
    client.post("/accounts/email/", {"action_add": "", "email": "other@example.com"})
    assert [mail.to for mail in mailoutbox] == [["other@example.com"]]


def test_links_in_mails_ignore_the_host_header(client, mailoutbox):
    client.post("/accounts/signup/", FORM, headers={"Host": "127.0.0.1"})
    assert "127.0.0.1" not in mailoutbox[0].body


@pytest.mark.parametrize(
    "change",
    [
        {"organization": ""},
        {"organization": " "},
        {"organization": "x" * 101},
        {"organization": "a\0b"},
        {"organization": "a\u202eb"},
        {"email": "x"},
        {"email": ""},
        {"password1": "short"},
        {"password1": "1234567890"},
        {"password1": "ada@new.example"},
    ],
)
def test_a_bad_form_makes_nothing(rf, change):
    form = SignupForm(FORM | change)
    assert not form.is_valid()
    assert set(form.errors) == set(change)
    assert not User.objects.exists()


def test_an_organization_that_fails_takes_the_user_along(client, monkeypatch):
    monkeypatch.setattr(Organization.objects, "create", lambda **_: 1 / 0)
    client.raise_request_exception = False
    monkeypatch.setattr("contextmcp.common.problems.render", lambda *_, **__: HttpResponse(status=500))
    assert client.post("/accounts/signup/", FORM).status_code == 500
    assert not User.objects.exists()


def test_a_known_address_signs_in_instead(client):
    """Verification is optional, so an address that is taken cannot be hidden: nobody would be let in with it."""
    UserFactory(email="ada@new.example")
    form = SignupForm(FORM | {"email": "ADA@new.example"})
    assert not form.is_valid() and set(form.errors) == {"email"}
    client.post("/accounts/signup/", FORM)
    assert User.objects.count() == 1 and not Organization.objects.exists()
    assert not _signed_in(client)


@pytest.mark.django_db(transaction=True)
def test_two_forms_with_one_address_at_once_make_one_user(monkeypatch):
    statuses, valid, try_save = [], threading.Barrier(4), SignupForm.try_save

    def try_save_together(form, request):
        valid.wait(30)
        return try_save(form, request)

    monkeypatch.setattr(SignupForm, "try_save", try_save_together)

    def sign_up(number):
        client = Client()
        try:
            statuses.append(client.post("/accounts/signup/", FORM | {"organization": f"Acme {number}"}).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=sign_up, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [302] * 4
    assert User.objects.count() == Organization.objects.count() == Membership.objects.count() == 1


def test_an_invited_newcomer_makes_no_organization_and_goes_back_to_the_invitation(client):
    session = client.session
    session["invitation_token"] = "t0ken"
    session.save()
    response = client.post("/accounts/signup/", {"email": "ada@new.example", "password1": PASSWORD})
    assert response["Location"] == "/invitations/t0ken/"
    assert User.objects.exists() and not Organization.objects.exists()


def test_equal_names_get_slugs_of_their_own(client):
    for number in range(3):
        Client().post("/accounts/signup/", FORM | {"email": f"ada{number}@new.example", "organization": "日本"})
    slugs = list(Organization.objects.values_list("slug", flat=True))
    assert len(set(slugs)) == 3 and all(slug.startswith("organization") for slug in slugs)


class TestSigningIn:
    def test_with_address_and_password(self, client):
        UserFactory(email="ada@new.example", password=PASSWORD)
        assert client.post("/accounts/login/", {"login": "ADA@new.example", "password": PASSWORD})["Location"] == "/"
        assert _signed_in(client)

    def test_a_new_password_by_mail(self, client, mailoutbox):
        user = UserFactory(email="ada@new.example", password=PASSWORD)
        client.post("/accounts/password/reset/", {"email": "ada@new.example"}, headers={"Host": "127.0.0.1"})
        (letter,) = mailoutbox
        link = re.search(r"http://localhost:3001(/accounts/password/reset/key/\S+)", letter.body)[1]
        assert link in letter.alternatives[0][0]
        form = client.get(link)["Location"]
        client.post(form, {"password1": "another long secret", "password2": "another long secret"})
        user.refresh_from_db()
        assert user.check_password("another long secret")

    def test_production_limits_attempts(self, client, settings):
        del settings.ACCOUNT_RATE_LIMITS
        UserFactory(email="ada@new.example", password=PASSWORD)
        for _ in range(6):
            client.post("/accounts/login/", {"login": "ada@new.example", "password": "wrong"})
        client.post("/accounts/login/", {"login": "ada@new.example", "password": PASSWORD})
        assert not _signed_in(client)


def test_a_superuser_can_be_made_at_the_command_line():
    user = User.objects.create_superuser("Root@new.example", PASSWORD)
    assert user.is_staff and user.is_superuser and user.check_password(PASSWORD)
    assert (user.email, user.get_full_name()) == ("root@new.example", "root@new.example")
