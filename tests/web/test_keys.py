"""The page of keys: create, rotate, revoke, take over."""

import re

import pytest
from django.urls import reverse

from accounts.errors import KeyRevoked
from accounts.manager import AuthManager
from accounts.models import ApiKey
from usage.tracker import UsageTracker

KEY = re.compile(r"cmcp_sk_test_[0-9A-Za-z]{30,}")


def make(person, name="Laptop"):
    return AuthManager(person.organization).generate_key(person.caller, name)


def test_a_key_is_created_with_its_options(owner, sign_in):
    params = {"name": "CI", "scopes": ["usage:write", "entitlements:read"], "lifetime": "30"}
    page = sign_in(owner).post(reverse("create-key"), params, follow=True).text
    created = ApiKey.objects.get()
    assert AuthManager.authenticate(KEY.search(page)[0]).key == created
    assert created.scopes == ["entitlements:read", "usage:write"]
    assert round((created.expires_at - created.created_at).total_seconds() / 86_400) == 30


@pytest.mark.parametrize(
    "wrong", [{}, {"name": ""}, {"name": "x" * 101}, {"name": "x", "scopes": "root"}, {"name": "x", "lifetime": "7"}, {"name": "a\x00b"}]
)
def test_an_invalid_key_form_creates_nothing(owner, sign_in, wrong):
    client = sign_in(owner)
    assert client.post(reverse("create-key"), wrong).url == reverse("keys")
    assert "note error" in client.get(reverse("keys")).text
    assert not ApiKey.objects.exists()


def test_a_member_creates_keys_within_the_role(member, sign_in):
    client = sign_in(member)
    assert "billing:write" not in client.get(reverse("keys")).text
    assert client.post(reverse("create-key"), {"name": "x", "scopes": ["billing:write"]}).url == reverse("keys")
    assert KEY.search(client.post(reverse("create-key"), {"name": "x"}, follow=True).text)


def test_a_rotated_key_has_a_successor_and_an_expiration(owner, sign_in):
    key, _ = make(owner)
    page = sign_in(owner).post(reverse("rotate-key-form", args=[key.pk]), {"overlap": "3600"}, follow=True).text
    assert "The old key works until" in page
    assert AuthManager.authenticate(KEY.search(page)[0]).key.rotated_from == key
    key.refresh_from_db()
    assert key.expires_at is not None


@pytest.mark.parametrize("overlap", ["", "5", "-1", "soon"])
def test_an_invalid_overlap_is_refused(owner, sign_in, overlap):
    key, _ = make(owner)
    assert sign_in(owner).post(reverse("rotate-key-form", args=[key.pk]), {"overlap": overlap}).url == reverse("keys")
    assert ApiKey.objects.count() == 1


def test_a_revoked_key_is_listed_as_inactive(owner, sign_in):
    key, raw = make(owner)
    page = sign_in(owner).post(reverse("revoke-key-form", args=[key.pk]), follow=True).text
    assert "API key revoked" in page
    assert "Inactive keys (1)" in page
    with pytest.raises(KeyRevoked):
        AuthManager.authenticate(raw)


def test_key_of_a_former_member_is_taken_over(owner, member, sign_in):
    key, raw = make(member)
    AuthManager(owner.organization).remove_member(owner.caller, member.membership.pk)
    client = sign_in(owner)
    assert "Created by a former member" in client.get(reverse("keys")).text
    page = client.post(reverse("take-over-key-form", args=[key.pk]), follow=True).text
    assert "The old key is revoked" in page
    assert AuthManager.authenticate(KEY.search(page)[0]).user == owner.user
    with pytest.raises(KeyRevoked):
        AuthManager.authenticate(raw)


def test_a_key_gets_the_default_scopes_and_broader_ones_are_marked(owner, sign_in):
    client = sign_in(owner)
    client.post(reverse("create-key"), {"name": "x"})
    assert ApiKey.objects.get().scopes == ["entitlements:read", "organization:read", "usage:read", "usage:write"]
    assert "can do more than use the product" not in client.get(reverse("keys")).text
    client.post(reverse("create-key"), {"name": "y", "scopes": ["usage:read", "billing:write"]})
    page = client.get(reverse("keys")).text
    assert "can do more than use the product" in page and "<li>Change the plan and manage billing</li>" in page


@pytest.mark.parametrize(
    ("who", "access", "scopes"),
    [
        ("member", "use", ["entitlements:read", "organization:read", "usage:read", "usage:write"]),
        ("owner", "read", ["entitlements:read", "organization:read", "usage:read"]),
        ("member", "full", ["entitlements:read", "keys:write", "organization:read", "usage:read", "usage:write"]),
        ("owner", "custom", ["billing:read"]),
    ],
)
def test_presets_give_the_scopes_that_the_role_allows(people, sign_in, who, access, scopes):
    client = sign_in(people[who])
    client.post(reverse("create-key"), {"name": "CI", "access": access, "scopes": ["billing:read"] if access == "custom" else []})
    assert ApiKey.objects.get().scopes == scopes


def test_custom_access_needs_a_scope(owner, sign_in):
    client = sign_in(owner)
    assert client.post(reverse("create-key"), {"name": "CI", "access": "custom"}).url == reverse("keys")
    assert "Select at least one scope." in client.get(reverse("keys")).text
    assert not ApiKey.objects.exists()


def test_a_rotated_key_is_one_row_with_its_successor_until_it_ends(owner, sign_in):
    key, _ = make(owner, "CI")
    UsageTracker(owner.organization).consume("sessions", 3)
    client = sign_in(owner)
    client.post(reverse("rotate-key-form", args=[key.pk]), {"overlap": "86400"})
    new = ApiKey.objects.exclude(pk=key.pk).get()
    page = client.get(reverse("keys")).text
    assert page.count("<strong>CI</strong>") == 1
    assert new.hint in page and f"The key that it replaces (<code>{key.hint}</code>) works until" in page
    assert "never used, so nothing should break" in page
    client.post(reverse("revoke-key-form", args=[key.pk]))
    page = client.get(reverse("keys")).text
    assert "The key that it replaces" not in page and "Inactive keys (1)" in page


def test_revoking_says_what_breaks(acme, owner, sign_in, api):
    key, raw = make(owner, "CI")
    assert api.post("/api/usage/authorize", {"feature": "sessions", "amount": 2}, by=raw).status_code == 200
    ApiKey.objects.update(last_used_at=key.created_at)
    assert "1 call counted in the last 30 days." in sign_in(owner).get(reverse("keys")).text


@pytest.mark.parametrize("form", ["rotate-key-form", "revoke-key-form"])
@pytest.mark.parametrize(("who", "status"), [("admin", None), ("member", 404), ("viewer", 404), ("stranger", 404), ("anonymous", None)])
def test_only_permitted_members_can_change_a_key(people, sign_in, form, who, status):
    """Admins manage all keys; other members only their own, and do not see any others."""
    key, raw = make(people["owner"])
    answer = sign_in(people[who]).post(reverse(form, args=[key.pk]), {"overlap": "0"})
    if who == "viewer" and form == "rotate-key-form":
        assert answer.status_code in (302, 404)
    elif status:
        assert answer.status_code == status
    if who == "anonymous":
        assert answer.url.startswith("/accounts/login/")
    if who != "admin":
        assert AuthManager.authenticate(raw).key == key


def test_a_viewer_cannot_create_keys(viewer, sign_in):
    page = sign_in(viewer).get(reverse("keys")).text
    assert "Create API key" not in page
    assert sign_in(viewer).post(reverse("create-key"), {"name": "x"}).url == reverse("keys")


def test_members_see_their_own_keys_and_admins_all(owner, admin, member, sign_in):
    make(owner, "Owner's")
    make(member, "Member's")
    assert "Owner&#x27;s" not in sign_in(member).get(reverse("keys")).text
    page = sign_in(admin).get(reverse("keys")).text
    assert "Owner&#x27;s" in page
    assert "Member&#x27;s" in page
    assert "Member&#x27;s" in sign_in(admin).get(reverse("account")).text


def test_forms_require_the_csrf_token(owner):
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user)
    assert client.post(reverse("create-key"), {"name": "x"}).status_code == 403
    assert not ApiKey.objects.exists()
