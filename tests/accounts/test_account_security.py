"""Account security: reauthentication, notices by email, stored second factors, passwords and the audit log."""

import time
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth.password_validation import validate_password
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.tasks import clear_sessions
from tests.factories.accounts import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    user = UserFactory(email="ada@new.example", password=PASSWORD)
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    return user


@pytest.fixture
def signed_in(client, user):
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def _age(client, seconds):
    session = client.session
    session["signed_in_at"] = time.time() - seconds
    session["account_authentication_methods"] = []
    session.save()


def test_an_old_session_must_reauthenticate_to_change_addresses(signed_in, user, mailoutbox):
    EmailAddress.objects.create(user=user, email="second@new.example", verified=True)
    _age(signed_in, 31 * 60)
    for form in (
        {"action_add": "", "email": "eve@evil.example"},
        {"action_primary": "", "email": "second@new.example"},
        {"action_remove": "", "email": "second@new.example"},
    ):
        response = signed_in.post("/accounts/email/", form)
        assert response.status_code == 302 and response["Location"].startswith("/accounts/reauthenticate/"), form
    user.refresh_from_db()
    assert user.email == "ada@new.example" and user.emailaddress_set.count() == 2
    assert not mailoutbox


def test_a_recent_session_is_not_asked_to_reauthenticate(signed_in, user, mailoutbox):
    response = signed_in.post("/accounts/email/", {"action_add": "", "email": "second@new.example"})
    assert response["Location"] == "/accounts/email/"
    assert [mail.to for mail in mailoutbox] == [["second@new.example"]]


def test_reauthentication_opens_the_page(signed_in, user):
    _age(signed_in, 31 * 60)
    page = signed_in.get("/accounts/reauthenticate/?next=/accounts/email/")
    assert page.status_code == 200
    response = signed_in.post("/accounts/reauthenticate/?next=/accounts/email/", {"password": PASSWORD})
    assert response["Location"] == "/accounts/email/"
    signed_in.post("/accounts/email/", {"action_add": "", "email": "second@new.example"})
    assert user.emailaddress_set.count() == 2


def test_the_old_address_is_notified_of_a_change(signed_in, user, mailoutbox):
    EmailAddress.objects.create(user=user, email="second@new.example", verified=True)
    signed_in.post("/accounts/email/", {"action_primary": "", "email": "second@new.example"})
    assert "ada@new.example" in [to for mail in mailoutbox for to in mail.to]
    assert "second@new.example" in mailoutbox[0].body
    assert AuditEvent.objects.filter(action="user.email_changed", actor_user=user).exists()


def test_a_changed_password_is_emailed_and_audited(signed_in, user, mailoutbox):
    new = "another long secret"
    signed_in.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    (mail,) = mailoutbox
    assert mail.to == [user.email] and "password" in mail.subject.lower()
    assert "http://localhost:3001/accounts/password/reset/" in mail.body
    assert AuditEvent.objects.filter(action="user.password_changed", actor_user=user).exists()


def test_sign_ins_and_failures_are_recorded(client, user):
    client.post("/accounts/login/", {"login": user.email, "password": "wrong"})
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    actions = list(AuditEvent.objects.order_by("id").values_list("action", "target", "ip_address"))
    assert actions == [("user.sign_in_failed", user.email, "127.0.0.1"), ("user.signed_in", user.email, "127.0.0.1")]


def test_stored_second_factors_are_encrypted(user):
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    codes = RecoveryCodes.activate(user).get_unused_codes()
    stored = list(Authenticator.objects.values_list("data", flat=True))
    assert secret not in str(stored)
    assert all(str(data.get("secret") or data.get("seed")).startswith("gAAAA") for data in stored)
    recovery = Authenticator.objects.get(type="recovery_codes").wrap()
    assert recovery.validate_code(codes[0])


@pytest.mark.parametrize("password", ["elevenchars", "a long secret " * 10])
def test_passwords_have_12_to_128_characters(password):
    with pytest.raises(ValidationError):
        validate_password(password)


def test_the_cache_holds_no_pickles(settings):
    caches["sessions"].set("value", {"a": 1})
    raw = caches["sessions"].client.get_client().get(caches["sessions"].make_key("value"))
    assert raw == b'{"a": 1}'


@pytest.mark.parametrize("forwarded", ["nonsense", "", "unix:", "6.6.6.6:443"])
def test_a_malformed_forwarded_address_is_accepted(client, user, settings, forwarded):
    settings.TRUSTED_PROXIES = settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    del settings.ACCOUNT_RATE_LIMITS
    form = {"login": user.email, "password": PASSWORD}
    assert client.post("/accounts/login/", form, headers={"X-Forwarded-For": forwarded}).status_code == 302


@pytest.fixture
def no_valkey(settings):
    """Refuse every connection to Valkey, as after a crash, with rate limits enabled."""
    del settings.ACCOUNT_RATE_LIMITS
    settings.CACHES = settings.CACHES | {"sessions": settings.CACHES["sessions"] | {"LOCATION": "redis://127.0.0.1:1/0"}}


def test_sign_in_and_reset_work_without_valkey(no_valkey, client, user, mailoutbox):
    assert client.post("/accounts/password/reset/", {"email": user.email}).status_code == 302
    assert len(mailoutbox) == 1
    assert client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})["Location"] == "/"


def test_sign_up_works_without_valkey(no_valkey, client):
    form = {"email": "new@new.example", "password1": PASSWORD, "organization": "New"}
    assert client.post("/accounts/signup/", form)["Location"] == "/accounts/confirm-email/"


def test_sign_in_limits_work_without_valkey(no_valkey, client, user):
    for _ in range(6):
        client.post("/accounts/login/", {"login": user.email, "password": "wrong"})
    assert AuditEvent.objects.filter(action="user.sign_in_failed").count() == 5


def test_an_unconfirmed_address_cannot_reset_the_password(client, user, mailoutbox):
    EmailAddress.objects.create(user=user, email="victim@new.example", verified=False)
    client.post("/accounts/password/reset/", {"email": "victim@new.example"})
    assert not any("/password/reset/key/" in mail.body for mail in mailoutbox)


def test_anonymous_sessions_last_a_day_and_others_longer(client, user):
    challenge = client.get("/accounts/2fa/webauthn/login/", headers={"X-Requested-With": "XMLHttpRequest"})
    assert challenge.status_code == 200
    assert Session.objects.get().expire_date <= timezone.now() + timedelta(days=1)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert Session.objects.get().expire_date > timezone.now() + timedelta(days=13)


def test_expired_sessions_are_deleted(signed_in):
    Session.objects.update(expire_date=timezone.now() - timedelta(days=1))
    clear_sessions(0)
    assert not Session.objects.exists()
