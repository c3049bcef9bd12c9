"""Staff create, rotate and revoke service keys. A key is shown once."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import AuditEvent, ServiceKey, User
from accounts.service_principals import service_keys as cache
from contextmcp.common.errors import DomainError
from contextmcp.common.ids import uuid7
from tests.factories.accounts import UserFactory

URL = "/admin/accounts/servicekey/"
TEXT = re.compile(r"cmcp_svc_test_[0-9A-Za-z]+")


@pytest.fixture
def root(db):
    return User.objects.create_superuser("root@staff.example", "x")


@pytest.fixture
def staff(root):
    client = Client()
    client.force_login(root)
    return client


def create(staff, submission=None, **more):
    params = {"name": "Billing server", "scopes": ["usage:write"], "submission": str(submission or uuid7()), "reason": "New server", **more}
    return staff.post(f"{URL}add/", params)


def act(client, action, *keys, **more):
    params = {"action": action, "_selected_action": [str(key.pk) for key in keys], "confirmed": "1", "reason": "Ticket 7", **more}
    return client.post(URL, params, follow=True)


def text_of(page):
    [text] = TEXT.findall(page.text)
    return text


def test_a_key_is_created_and_its_text_shown_once(staff, root):
    assert b'type="hidden" name="submission"' in staff.get(f"{URL}add/").content
    page = create(staff)
    assert (page.status_code, "no-store" in page["Cache-Control"]) == (200, True)
    key = ServiceKey.objects.get()
    assert (key.name, key.scopes, key.created_by) == ("Billing server", ["usage:write"], root)
    assert cache.load(text_of(page)).key_id == key.pk
    for later in (staff.get(URL), staff.get(f"{URL}{key.pk}/change/")):
        assert text_of(page) not in later.text
        assert key.bcrypt_hash not in later.text
    event = AuditEvent.objects.get(action="service_key.created")
    assert (event.actor_user, event.target, event.after["name"]) == (root, str(key.pk), "Billing server")
    assert event.reason == "New server"


def test_a_form_submitted_twice_creates_one_key(staff):
    submission = uuid7()
    create(staff, submission)
    page = create(staff, submission)
    assert page.status_code == 302
    assert "was already created" in staff.get(page.url).text
    assert ServiceKey.objects.count() == 1


WRONG = [
    {"name": " "},
    {"reason": " "},
    {"scopes": []},
    {"scopes": ["root"]},
    {"expires_at_0": "2020-01-01", "expires_at_1": "00:00"},
    {"submission": "x"},
]


@pytest.mark.parametrize("wrong", WRONG)
def test_invalid_input_is_reported_in_the_form(staff, wrong):
    page = create(staff, **wrong)
    assert (page.status_code, TEXT.findall(page.text)) == (200, [])
    assert not ServiceKey.objects.exists()


def test_rotating_requires_a_reason_and_shows_the_successor(staff, root):
    create(staff)
    old = ServiceKey.objects.get()
    assert "Enter a reason." in act(staff, "rotate", old, reason="").text
    assert ServiceKey.objects.count() == 1
    page = act(staff, "rotate", old)
    assert "no-store" in page["Cache-Control"]
    assert cache.load(text_of(page)).key_id == old.successors.get().pk
    event = AuditEvent.objects.get(action="service_key.rotated")
    assert (event.actor_user, event.reason) == (root, "Ticket 7")
    assert "was already rotated" in act(staff, "rotate", old).text


def test_revoking_requires_a_reason(staff, root):
    text = text_of(create(staff))
    key = ServiceKey.objects.get()
    assert "Enter a reason." in act(staff, "revoke", key, reason="").text
    assert "1 key revoked" in act(staff, "revoke", key).text
    event = AuditEvent.objects.get(action="service_key.revoked")
    assert (event.actor_user, event.reason, event.before) == (root, "Ticket 7", {"name": "Billing server"})
    with pytest.raises(DomainError):
        cache.load(text)
    assert "is already revoked" in act(staff, "revoke", key).text
    assert AuditEvent.objects.filter(action="service_key.revoked").count() == 1


def test_view_permission_does_not_allow_actions(staff):
    create(staff)
    key = ServiceKey.objects.get()
    viewing_staff = UserFactory(is_staff=True)
    viewing_staff.user_permissions.set(Permission.objects.filter(codename="view_servicekey"))
    client = Client()
    client.force_login(viewing_staff)
    assert client.get(f"{URL}{key.pk}/change/").status_code == 200
    assert client.post(f"{URL}add/", {}).status_code == 403
    for action in ("rotate", "revoke"):
        act(client, action, key)
    assert ServiceKey.objects.get().revoked_at is None


def test_a_search_for_a_whole_key_leaves_no_secret_in_the_url(staff):
    raw = text_of(create(staff))
    public = ServiceKey.objects.get().public_id
    assert staff.get(URL, {"q": raw}).url == f"{URL}?q={public}"
    assert "Billing server" in staff.get(URL, {"q": f"{raw[:20]}…"}, follow=True).text
    assert staff.get(URL, {"q": "cmcp_at_test_secret"}).url == f"{URL}?q="
