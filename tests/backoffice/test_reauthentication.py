"""Changes of rights require authentication within the last 15 minutes, and the submitted form is kept."""

import re
import time

import pytest
from allauth.mfa.totp.internal.auth import TOTP

from accounts.models import ServiceKey, User
from contextmcp.backoffice import reauthentication
from tests.backoffice.test_second_factor import SECRET, code
from tests.factories.accounts import PASSWORD

pytestmark = pytest.mark.django_db
NEW_KEY = {"name": "MCP server", "scopes": ["usage:write"], "submission": "019ad000-0000-7000-8000-000000000000", "reason": "x"}


@pytest.fixture
def root():
    return User.objects.create_superuser("root@staff.example", PASSWORD)


def signed_in(client, user, minutes):
    """Sign `user` in with an authentication time some minutes ago."""
    client.force_login(user)
    session = client.session
    session["signed_in_at"] = time.time() - minutes * 60
    session.save()
    return client


def hidden_fields(page):
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))


def test_a_recent_session_changes_at_once(client, root):
    signed_in(client, root, 14)
    assert client.post("/admin/accounts/servicekey/add/", NEW_KEY).status_code == 200
    assert ServiceKey.objects.exists()


def test_an_old_session_authenticates_and_then_sends_the_kept_form(client, root):
    signed_in(client, root, 16)
    answer = client.post("/admin/accounts/servicekey/add/?_changelist_filters=a", NEW_KEY)
    assert answer.url == "/accounts/reauthenticate/?next=%2Fadmin%2Fcontinue%2F"
    assert client.post(answer.url, {"password": "wrong", "next": "/admin/continue/"}).status_code == 200
    answer = client.post(answer.url, {"password": PASSWORD, "next": "/admin/continue/"})
    assert answer.url == "/admin/continue/"
    page = client.get(answer.url)
    assert 'action="/admin/accounts/servicekey/add/?_changelist_filters=a"' in page.text
    assert not ServiceKey.objects.exists()
    assert client.post("/admin/accounts/servicekey/add/", hidden_fields(page)).status_code == 200
    assert ServiceKey.objects.get().name == "MCP server"


def test_the_second_factor_counts_where_the_admin_requires_one(client, root, settings):
    settings.STAFF_SECOND_FACTOR = True
    TOTP.activate(root, SECRET)
    client.post("/accounts/login/?next=/admin/", {"login": root.email, "password": PASSWORD})
    client.post("/accounts/2fa/authenticate/", {"code": code()})
    session = client.session
    session["account_authentication_methods"] = [{**each, "at": each["at"] - 16 * 60} for each in session["account_authentication_methods"]]
    session.save()
    assert client.get("/admin/").status_code == 200
    answer = client.post("/admin/accounts/servicekey/add/", NEW_KEY)
    assert answer.url == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2Fcontinue%2F"


@pytest.mark.parametrize("page", ["accounts/user/", "accounts/servicekey/", "accounts/membership/", "entitlements/grant/"])
def test_actions_on_rights_require_a_recent_authentication(client, root, page):
    signed_in(client, root, 16)
    assert client.get(f"/admin/{page}").status_code == 200
    assert client.post(f"/admin/{page}", {"action": "x"}).url.startswith("/accounts/reauthenticate/")


def test_the_kept_form_is_shown_once_and_to_its_user_only(client, root):
    signed_in(client, root, 16)
    client.post("/admin/accounts/servicekey/add/", NEW_KEY)
    session = client.session
    kept = session[reauthentication.SESSION_FORM]
    assert client.get("/admin/continue/").status_code == 200
    assert client.get("/admin/continue/").url == "/admin/"
    for change in ({"user": 0}, {"at": time.time() - 16 * 60}):
        session[reauthentication.SESSION_FORM] = kept | change
        session.save()
        assert client.get("/admin/continue/").url == "/admin/"


def test_a_form_that_is_too_large_is_not_kept(client, root, monkeypatch):
    monkeypatch.setattr(reauthentication, "MAX_FORM_LENGTH", 10)
    signed_in(client, root, 16)
    answer = client.post("/admin/accounts/servicekey/add/", NEW_KEY)
    assert answer.url == "/accounts/reauthenticate/?next=%2Fadmin%2F"
    assert reauthentication.SESSION_FORM not in client.session


def test_customers_are_not_asked_to_authenticate(client, owner):
    signed_in(client, owner.user, 16)
    assert client.post("/admin/accounts/servicekey/add/", NEW_KEY).url.startswith("/admin/login/")
