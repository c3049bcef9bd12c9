"""Forms keep their input, act once, and survive the end of a session."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from accounts.manager import AuthManager
from accounts.models import ApiKey, Invitation, Organization
from contextmcp.common.models import IdempotencyRecord
from contextmcp.web import submissions
from contextmcp.web.decorators import MemberAction
from entitlements.manager import EntitlementsManager
from tests.factories.accounts import PASSWORD, UserFactory

KEY = re.compile(r"cmcp_sk_test_[0-9A-Za-z]{30,}")
TYPED = {
    "invite": ("team", {"email": "no address", "role": "admin"}, 'value="no address"'),
    "change-settings": ("settings", {"name": "x" * 101, "email": "new@acme.example"}, 'value="new@acme.example"'),
    "create-key": ("keys", {"name": "CI", "access": "custom", "scopes": ["billing:read"], "lifetime": "7"}, 'value="CI"'),
    "first-key": ("welcome", {"name": "y" * 101}, f'value="{"y" * 101}"'),
    "close-organization": ("close-page", {"name": "Acmee"}, 'value="Acmee"'),
}


def actions():
    """Yield every path that only accepts forms, with what it declares."""
    result = {}
    for pattern in get_resolver("contextmcp.web.urls").url_patterns:
        declared = getattr(pattern.callback, "action", None)
        if isinstance(declared, MemberAction):
            result[pattern.name] = (declared, len(pattern.pattern.converters))
    return result


@pytest.fixture
def roomy(owner):
    EntitlementsManager(owner.organization).grant("enterprise", reason="x")
    return owner


class TestRefusals:
    @pytest.mark.parametrize("name", TYPED)
    def test_the_input_of_a_refused_form_is_kept(self, roomy, sign_in, name):
        page, values, shown = TYPED[name]
        client = sign_in(roomy)
        assert client.post(reverse(name), values).url == reverse(page)
        text = client.get(reverse(page)).text
        assert shown in text
        assert 'aria-invalid="true"' in text
        assert "note error" in text
        assert shown not in client.get(reverse(page)).text

    def test_the_chosen_scopes_stay_selected(self, roomy, sign_in):
        client = sign_in(roomy)
        client.post(reverse("create-key"), TYPED["create-key"][1])
        page = client.get(reverse("keys")).text
        assert re.search(r'value="billing:read"[^>]* checked', page)
        assert re.search(r'value="custom"[^>]* checked', page)

    def test_a_draft_is_not_shown_for_another_organization(self, roomy, sign_in):
        client = sign_in(roomy)
        client.post(reverse("invite"), {"email": "no address", "role": "admin", "acting_for": str(roomy.organization.pk)})
        other = AuthManager.create_organization(roomy.user, "Second")
        client.post(reverse("switch-organization"), {"organization": str(other.pk)})
        assert "no address" not in client.get(reverse("team")).text


class TestEndedSessions:
    @pytest.mark.parametrize("name", actions())
    def test_after_signing_in_the_form_is_shown(self, db, client, name):
        """Not to the form's own path, which a browser opens with GET."""
        _, arguments = actions()[name]
        target = reverse(name, args=["01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10"] * arguments)
        assert client.post(target).url.startswith("/accounts/login/?next=")
        assert "Nothing was changed" in client.get("/accounts/login/").text
        assert client.get(target).status_code == 302

    def test_the_input_is_kept_until_sign_in(self, owner, client):
        EntitlementsManager(owner.organization).grant("pro", reason="x")
        owner.user.set_password(PASSWORD)
        owner.user.save()
        sent = client.post(reverse("invite"), {"email": "grace@compilers.example", "role": "viewer"})
        page = client.post(sent.url, {"login": owner.user.email, "password": PASSWORD, "next": reverse("team")}, follow=True)
        assert page.status_code == 200
        assert page.request["PATH_INFO"] == reverse("team")
        assert 'value="grace@compilers.example"' in page.text
        assert '<option value="viewer" selected>' in page.text
        assert not Invitation.objects.exists()

    def test_a_form_of_an_ended_session_keeps_its_input(self, roomy, client):
        checked = Client(enforce_csrf_checks=True, headers={"Origin": "http://testserver"})
        checked.force_login(roomy.user)
        answer = checked.post(reverse("invite"), {"email": "grace@compilers.example", "role": "viewer"})
        assert answer.status_code == 403
        assert f'href="{reverse("team")}"' in answer.text
        assert "Nothing was changed" in answer.text
        assert 'value="grace@compilers.example"' in checked.get(reverse("team")).text

    def test_input_from_another_site_is_not_stored(self, roomy):
        checked = Client(enforce_csrf_checks=True, headers={"Origin": "https://evil.example"})
        checked.force_login(roomy.user)
        assert checked.post(reverse("invite"), {"email": "eve@evil.example", "role": "owner"}).status_code == 403
        assert "eve@evil.example" not in checked.get(reverse("team")).text


class TestOnce:
    def send_twice(self, client, name, values, *arguments):
        form_token = submissions.new_token()
        answers = [client.post(reverse(name, args=arguments), {**values, "form_token": form_token}) for _ in range(2)]
        assert answers[0].url == answers[1].url
        return answers

    def test_a_repeated_form_creates_one_key(self, owner, sign_in):
        client = sign_in(owner)
        answers = self.send_twice(client, "create-key", {"name": "CI"})
        assert ApiKey.objects.count() == 1
        shown = {KEY.search(client.get(each.url).text)[0] for each in (*answers, *answers)}
        assert len(shown) == 1
        assert AuthManager.authenticate(shown.pop()).key == ApiKey.objects.get()

    def test_another_name_creates_another_key(self, owner, sign_in):
        client = sign_in(owner)
        for name in ("CI", "Laptop"):
            client.post(reverse("create-key"), {"name": name, "form_token": "a" * 32})
        assert ApiKey.objects.count() == 2

    def test_a_repeated_form_rotates_once(self, owner, sign_in):
        key, _ = AuthManager(owner.organization).generate_key(owner.caller, "Laptop")
        client = sign_in(owner)
        self.send_twice(client, "rotate-key-form", {"overlap": "3600"}, key.pk)
        assert ApiKey.objects.count() == 2
        assert "The old key works until" in client.get(reverse("new-key")).text

    def test_a_repeated_form_creates_one_organization(self, owner, sign_in):
        self.send_twice(sign_in(owner), "new-organization", {"name": "Second"})
        assert Organization.objects.filter(name="Second").count() == 1

    def test_a_repeated_form_sends_one_invitation(self, roomy, sign_in):
        client = sign_in(roomy)
        self.send_twice(client, "invite", {"email": "grace@compilers.example", "role": "viewer"})
        page = client.get(reverse("team")).text
        assert "note error" not in page
        assert "Invitation sent to grace@compilers.example." in page


class TestNewKey:
    def test_other_users_do_not_see_the_key(self, owner, admin, sign_in):
        client = sign_in(owner)
        client.post(reverse("create-key"), {"name": "CI"})
        other = sign_in(admin)
        other.cookies[submissions.COOKIE] = client.cookies[submissions.COOKIE].value
        assert other.get(reverse("new-key")).url == reverse("keys")

    def test_the_key_is_hidden_after_the_confirmation(self, owner, sign_in):
        client = sign_in(owner)
        client.post(reverse("create-key"), {"name": "CI"})
        secret = client.cookies[submissions.COOKIE].value
        assert client.post(reverse("forget-key-form")).url == reverse("account")
        client.cookies[submissions.COOKIE] = secret
        assert client.get(reverse("new-key")).url == reverse("keys")
        assert "shown only when it is created" in client.get(reverse("keys")).text

    def test_the_key_is_hidden_after_some_minutes(self, owner, sign_in):
        client = sign_in(owner)
        client.post(reverse("create-key"), {"name": "CI"})
        IdempotencyRecord.objects.update(created_at=timezone.now() - submissions.KEY_VISIBLE_FOR - timedelta(seconds=1))
        assert client.get(reverse("new-key")).url == reverse("keys")

    def test_the_database_does_not_reveal_the_key(self, owner, sign_in):
        client = sign_in(owner)
        client.post(reverse("create-key"), {"name": "CI"})
        raw = KEY.search(client.get(reverse("new-key")).text)[0]
        stored = str(list(IdempotencyRecord.objects.values())) + str(dict(client.session))
        assert raw not in stored
        assert client.cookies[submissions.COOKIE].value not in stored
        assert client.cookies[submissions.COOKIE]["httponly"]


def test_a_user_without_an_organization_can_create_one(db, sign_in):
    client = sign_in(UserFactory())
    page = client.post(reverse("new-organization"), {"name": "First"}, follow=True)
    assert "Create your first API key" in page.text
