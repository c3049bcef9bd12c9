"""Sign-up, sign-in and password reset (django-allauth with our form and adapter)."""

import re
import threading

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user
from django.db import connection
from django.http import HttpResponse
from django.test import Client

from accounts.forms import SignupForm
from accounts.manager import AuthManager
from accounts.models import AuditEvent, Membership, Organization, User
from contextmcp.settings import base
from tests.factories.accounts import PASSWORD, UserFactory

FORM = {"email": "ada@new.example", "password1": PASSWORD, "organization": "Ada & Co"}
SENT = "/accounts/confirm-email/"
pytestmark = pytest.mark.django_db


def _signed_in(client):
    return get_user(client).is_authenticated


def _confirm(client, mail):
    """Open the link in the email and press the button."""
    return client.post(re.search(r"http://localhost:3001(/accounts/confirm-email/\S+)", mail.body)[1])


def test_one_form_creates_user_organization_and_membership(client, mailoutbox):
    response = client.post("/accounts/signup/", FORM)
    assert (response.status_code, response["Location"]) == (302, SENT)
    member = Membership.objects.select_related("user", "organization").get()
    assert (member.user.email, member.role) == ("ada@new.example", "owner")
    assert (member.organization.name, member.organization.slug, member.organization.email) == ("Ada & Co", "ada-co", "ada@new.example")
    assert not _signed_in(client)
    assert set(AuditEvent.objects.values_list("action", flat=True)) == {"user.signed_up", "organization.created"}
    (email,) = mailoutbox
    assert email.to == ["ada@new.example"]
    link = re.search(r"http://localhost:3001(/accounts/confirm-email/\S+)", email.body)[1]
    assert link in email.alternatives[0][0]


def test_the_link_confirms_signs_in_and_redirects(client, mailoutbox):
    client.post("/accounts/signup/?next=/pricing/", FORM | {"next": "/pricing/"})
    answer = _confirm(client, mailoutbox[0])
    assert User.objects.get().emailaddress_set.get().verified
    assert _signed_in(client) and answer["Location"] == "/pricing/"


def test_in_another_browser_the_link_confirms_without_sign_in(client, mailoutbox):
    client.post("/accounts/signup/", FORM)
    other = Client()
    _confirm(other, mailoutbox[0])
    assert User.objects.get().emailaddress_set.get().verified and not _signed_in(other)


def test_unconfirmed_users_cannot_sign_in(client, mailoutbox):
    client.post("/accounts/signup/", FORM)
    other = Client()
    answer = other.post("/accounts/login/", {"login": FORM["email"], "password": PASSWORD})
    assert answer["Location"] == SENT and not _signed_in(other)


def test_a_second_address_needs_a_confirmed_first_one(client, mailoutbox):
    """Otherwise someone who signed up with another's address, and added one of their own, could return after the owner took over."""
    client.post("/accounts/signup/", FORM)
    first = mailoutbox.pop()
    client.force_login(User.objects.get())
    page = client.post("/accounts/email/", {"action_add": "", "email": "other@example.com"}).text
    assert "Confirm ada@new.example first" in page
    assert not mailoutbox
    client.post(re.search(r"http://localhost:3001(/accounts/confirm-email/\S+)", first.body)[1])
    client.post("/accounts/email/", {"action_add": "", "email": "other@example.com"})
    assert [mail.to for mail in mailoutbox if "/confirm-email/" in mail.body] == [["other@example.com"]]


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
def test_an_invalid_form_creates_nothing(rf, change):
    form = SignupForm(FORM | change)
    assert not form.is_valid()
    assert set(form.errors) == set(change)
    assert not User.objects.exists()


def test_a_failed_organization_rolls_back_the_user(client, monkeypatch):
    monkeypatch.setattr(Organization.objects, "create", lambda **_: 1 / 0)
    client.raise_request_exception = False
    monkeypatch.setattr("contextmcp.common.problems.render", lambda *_, **__: HttpResponse(status=500))
    assert client.post("/accounts/signup/", FORM).status_code == 500
    assert not User.objects.exists()


def _answer(client, response):
    page = client.get(response["Location"])
    text = re.sub(r'(csrfmiddlewaretoken" value|nonce)="[^"]+"', "", page.text)
    return response.status_code, response["Location"], page.status_code, text


def test_a_known_address_is_answered_like_any_other(mailoutbox):
    UserFactory(email="ada@new.example", name="Ada")
    users, organizations = User.objects.count(), Organization.objects.count()
    known, other = Client(), Client()
    first = _answer(known, known.post("/accounts/signup/", FORM | {"email": "ADA@new.example"}))
    assert (User.objects.count(), Organization.objects.count()) == (users, organizations)
    assert not _signed_in(known)
    (email,) = mailoutbox
    assert email.to == ["ada@new.example"] and "An account with this address already exists" in email.body
    assert "http://localhost:3001/accounts/password/reset/" in email.body
    second = _answer(other, other.post("/accounts/signup/", FORM | {"email": "bob@new.example"}))
    assert [str(part).replace("ada@", "bob@") for part in first] == [str(part) for part in second]
    assert set(known.cookies) == set(other.cookies)


def test_a_known_address_takes_as_long(client, monkeypatch):
    UserFactory(email="ada@new.example")
    hashed = []
    real = User.set_password
    monkeypatch.setattr(User, "set_password", lambda user, password: (hashed.append(password), real(user, password)))
    client.post("/accounts/signup/", FORM)
    assert hashed == [PASSWORD]


def test_an_unconfirmed_address_does_not_block_sign_up(client, mailoutbox):
    squatter = UserFactory(email="eve@evil.example")
    EmailAddress.objects.create(user=squatter, email=FORM["email"], verified=False)
    client.post("/accounts/signup/", FORM)
    _confirm(client, mailoutbox[-1])
    assert _signed_in(client) and get_user(client).email == FORM["email"]
    assert list(squatter.emailaddress_set.values_list("email", flat=True)) == ["eve@evil.example"]


def test_password_reset_confirms_an_unconfirmed_account(client, mailoutbox):
    """If someone signed up with another's address, the owner takes the account over by email, and the first password no longer works."""
    client.post("/accounts/signup/", FORM)
    owner = Client()
    owner.post("/accounts/password/reset/", {"email": FORM["email"]})
    form = owner.get(re.search(r"http://localhost:3001(/accounts/password/reset/key/\S+)", mailoutbox[-1].body)[1])["Location"]
    owner.post(form, {"password1": "another long secret", "password2": "another long secret"})
    owner.post("/accounts/login/", {"login": FORM["email"], "password": "another long secret"})
    assert _signed_in(owner)
    client.post("/accounts/login/", {"login": FORM["email"], "password": PASSWORD})
    assert not _signed_in(client)


@pytest.mark.django_db(transaction=True)
def test_concurrent_sign_ups_with_one_address_create_one_user(monkeypatch):
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


@pytest.mark.parametrize(("email", "confirmed"), [("ada@new.example", True), ("eve@evil.example", False)])
def test_an_invitation_confirms_the_address_that_it_was_mailed_to(client, owner, mailoutbox, monkeypatch, email, confirmed):
    monkeypatch.setattr("contextmcp.web.entitled_seats.seat_limit", lambda organization: None)
    AuthManager(owner.organization).invite(owner.caller, "ada@new.example", "member")
    link = re.search(r"http://localhost:3001(/invitations/\S+/)", mailoutbox[0].body)[1]
    client.get(link)
    response = client.post("/accounts/signup/", {"email": email, "password1": PASSWORD})
    assert response["Location"] == (link if confirmed else SENT)
    assert _signed_in(client) is confirmed
    assert Organization.objects.count() == 1


def test_equal_names_get_different_slugs(client):
    for number in range(3):
        Client().post("/accounts/signup/", FORM | {"email": f"ada{number}@new.example", "organization": "日本"})
    slugs = list(Organization.objects.values_list("slug", flat=True))
    assert len(set(slugs)) == 3 and all(slug.startswith("organization") for slug in slugs)


class TestSigningIn:
    def test_users_sign_in_with_address_and_password(self, client):
        UserFactory(email="ada@new.example", password=PASSWORD)
        assert client.post("/accounts/login/", {"login": "ADA@new.example", "password": PASSWORD})["Location"] == "/"
        assert _signed_in(client)

    def test_the_password_can_be_reset_by_email(self, client, mailoutbox):
        user = UserFactory(email="ada@new.example", password=PASSWORD)
        client.post("/accounts/password/reset/", {"email": "ada@new.example"}, headers={"Host": "127.0.0.1"})
        (email,) = mailoutbox
        link = re.search(r"http://localhost:3001(/accounts/password/reset/key/\S+)", email.body)[1]
        assert link in email.alternatives[0][0]
        form = client.get(link)["Location"]
        client.post(form, {"password1": "another long secret", "password2": "another long secret"})
        user.refresh_from_db()
        assert user.check_password("another long secret")

    @staticmethod
    def guess(address, times, password="wrong"):
        client = Client(REMOTE_ADDR=address)
        for _ in range(times):
            client.post("/accounts/login/", {"login": "ada@new.example", "password": password})
        return _signed_in(client)

    def test_production_limits_attempts_of_one_network(self, settings):
        settings.ACCOUNT_RATE_LIMITS = base.ACCOUNT_RATE_LIMITS
        UserFactory(email="ada@new.example", password=PASSWORD)
        self.guess("192.0.2.66", 6)
        assert not self.guess("192.0.2.66", 1, PASSWORD)
        assert self.guess("192.0.2.1", 1, PASSWORD)

    def test_guesses_from_many_networks_do_not_lock_out_the_owner(self, settings):
        settings.ACCOUNT_RATE_LIMITS = base.ACCOUNT_RATE_LIMITS | {"login_failed_elsewhere": "6/h/key"}
        UserFactory(email="ada@new.example", password=PASSWORD)
        assert self.guess("192.0.2.1", 1, PASSWORD)
        for network in range(3):
            self.guess(f"203.0.113.{network}", 4)
        assert AuditEvent.objects.filter(action="user.sign_in_failed").count() == 6
        assert not self.guess("203.0.113.9", 1, PASSWORD)
        assert self.guess("192.0.2.1", 1, PASSWORD)


def test_a_superuser_can_be_made_at_the_command_line():
    user = User.objects.create_superuser("Root@new.example", PASSWORD)
    assert user.is_staff and user.is_superuser and user.check_password(PASSWORD)
    assert user.emailaddress_set.get().verified
    assert (user.email, user.get_full_name()) == ("root@new.example", "root@new.example")
