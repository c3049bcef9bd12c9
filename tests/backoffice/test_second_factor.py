"""The admin requires a second factor that was verified recently."""

from datetime import timedelta

import pytest
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value, yield_hotp_counters_from_time

from accounts.models import User
from contextmcp.backoffice import second_factor

SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture
def root(db, settings):
    settings.STAFF_SECOND_FACTOR = True
    return User.objects.create_superuser("root@staff.example", "a good password")


def sign_in(client):
    return client.post("/accounts/login/?next=/admin/", {"login": "root@staff.example", "password": "a good password"})


def code():
    return format_hotp_value(hotp_value(SECRET, next(yield_hotp_counters_from_time())))


@pytest.mark.parametrize("path", ["", "accounts/user/", "accounts/user/add/", "billing/webhookevent/", "autocomplete/", "jsi18n/"])
def test_staff_without_a_second_factor_are_redirected(client, root, path):
    sign_in(client)
    for answer in (client.get(f"/admin/{path}"), client.post(f"/admin/{path}")):
        assert (answer.status_code, answer.url) == (302, "/accounts/2fa/")


def test_a_code_opens_the_admin(client, root):
    TOTP.activate(root, SECRET)
    assert sign_in(client).url.startswith("/accounts/2fa/authenticate/")
    assert client.get("/admin/").status_code == 302
    client.post("/accounts/2fa/authenticate/", {"code": code()})
    assert client.get("/admin/").status_code == 200


def test_an_old_second_factor_must_be_repeated(client, root, monkeypatch):
    TOTP.activate(root, SECRET)
    client.force_login(root)
    answer = client.get("/admin/accounts/user/?q=a")
    assert answer.url == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2Faccounts%2Fuser%2F%3Fq%3Da"
    response = client.post(answer.url, {"code": code(), "next": "/admin/accounts/user/?q=a"})
    assert response.url == "/admin/accounts/user/?q=a"
    assert client.get(response.url).status_code == 200
    monkeypatch.setattr(second_factor, "MAX_AGE", timedelta(0))
    assert client.get("/admin/").url.startswith("/accounts/2fa/reauthenticate/")


def test_customers_need_no_second_factor(client, owner, settings):
    settings.STAFF_SECOND_FACTOR = True
    client.force_login(owner.user)
    assert client.get("/account/").status_code == 200
    assert client.get("/admin/").url.startswith("/admin/login/")
