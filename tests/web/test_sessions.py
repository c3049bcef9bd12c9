"""Sessions: their list, their end and their lifetime."""

import time

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth import get_user
from django.test import Client

from accounts.models import AuditEvent, User
from contextmcp.web.pages.sessions import device
from tests.factories.accounts import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"


@pytest.fixture
def user():
    return UserFactory(email="ada@new.example", password=PASSWORD)


def browser(user, user_agent=FIREFOX, address="192.0.2.1"):
    client = Client(headers={"User-Agent": user_agent}, REMOTE_ADDR=address)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def signed_in(client):
    return get_user(client).is_authenticated


def age(client, **seconds):
    """Make the session of `client` look as if these events were so many seconds ago."""
    session = client.session
    for name, value in seconds.items():
        session[name] = time.time() - value
    session.save()


def test_the_page_lists_own_sessions_only(user):
    here, _ = browser(user), browser(user, EDGE, "192.0.2.2")
    browser(UserFactory(email="eve@evil.example", password=PASSWORD), address="203.0.113.9")
    page = here.get("/accounts/sessions/").text
    assert "Firefox on Linux" in page and "192.0.2.1" in page and "This browser" in page
    assert "Edge on Windows" in page and "192.0.2.2" in page
    assert "203.0.113.9" not in page


def test_one_session_can_be_ended(user):
    here, there, third = browser(user), browser(user, EDGE, "192.0.2.2"), browser(user, EDGE, "192.0.2.3")
    chosen = UserSession.objects.get(ip="192.0.2.2")
    here.post("/accounts/sessions/", {"session": chosen.pk})
    assert (signed_in(here), signed_in(there), signed_in(third)) == (True, False, True)
    assert AuditEvent.objects.filter(action="user.session_ended", actor_user=user).count() == 1


def test_all_other_sessions_can_be_ended(user):
    here, there, third = browser(user), browser(user, EDGE, "192.0.2.2"), browser(user, EDGE, "192.0.2.3")
    here.post("/accounts/sessions/", {"others": "1"})
    assert (signed_in(here), signed_in(there), signed_in(third)) == (True, False, False)


def test_the_sessions_of_others_cannot_be_ended(user):
    victim = browser(UserFactory(email="victim@new.example", password=PASSWORD), address="192.0.2.7")
    browser(user).post("/accounts/sessions/", {"session": UserSession.objects.get(ip="192.0.2.7").pk})
    assert signed_in(victim)


def test_a_new_password_ends_other_sessions(user):
    here, there = browser(user), browser(user, EDGE, "192.0.2.2")
    new = "another long secret"
    here.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert (signed_in(here), signed_in(there)) == (True, False)
    assert "192.0.2.2" not in here.get("/accounts/sessions/").text


@pytest.mark.parametrize(
    ("ago", "stays"),
    [
        ({"signed_in_at": 13 * 86400, "last_seen_at": 3600}, True),
        ({"signed_in_at": 15 * 86400, "last_seen_at": 3600}, False),
        ({"signed_in_at": 4 * 86400, "last_seen_at": 4 * 86400}, False),
    ],
)
def test_a_session_ends_by_age_and_when_idle(user, ago, stays):
    client = browser(user)
    age(client, **ago)
    page = client.get("/accounts/sessions/")
    assert (page.status_code == 200) is stays
    assert signed_in(client) is stays
    assert UserSession.objects.exists() is stays
    if not stays:
        assert "Your session has expired" in client.get(page.url).text


@pytest.mark.parametrize(("ago", "stays"), [(20 * 60, True), (31 * 60, False)])
def test_sessions_of_staff_are_shorter(client, ago, stays):
    client.force_login(User.objects.create_superuser("root@staff.example", PASSWORD))
    age(client, last_seen_at=ago)
    client.get("/admin/")
    assert signed_in(client) is stays


def test_the_api_refuses_an_expired_session(user):
    client = browser(user)
    age(client, signed_in_at=15 * 86400)
    assert client.get("/api/auth/whoami").status_code == 401


def test_a_request_counts_as_activity(user):
    client = browser(user)
    before = UserSession.objects.get().last_seen_at
    age(client, last_seen_at=2 * 86400)
    client.get("/accounts/sessions/")
    assert time.time() - client.session["last_seen_at"] < 60
    assert UserSession.objects.get().last_seen_at > before


def test_a_client_without_an_address_signs_in(user):
    assert signed_in(browser(user, address="unix:"))


@pytest.mark.parametrize(("user_agent", "words"), [("", "Unknown browser"), ("curl/8", "Unknown browser"), (EDGE, "Edge on Windows")])
def test_devices_are_named(user_agent, words):
    assert device(user_agent) == words
