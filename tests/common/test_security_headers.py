"""Which responses may be cached, and what a page may load."""

import re

import pytest

from accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/login/",
        "/accounts/password/reset/",
        "/accounts/email/",
        "/accounts/2fa/",
        "/account/",
        "/api/auth/whoami",
        "/api/usage/current",
    ],
)
def test_pages_of_signed_in_users_are_not_cached(client, owner, path):
    client.force_login(owner.user)
    assert "no-store" in client.get(path)["Cache-Control"], path


@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/accounts/password/reset/", "/accounts/confirm-email/x/", "/invitations/x/", "/admin/login/"]
)
def test_pages_with_secrets_are_not_cached(client, path):
    assert "no-store" in client.get(path)["Cache-Control"], path


def test_responses_to_api_keys_are_not_cached(api, owner):
    assert "no-store" in api.get("/api/auth/whoami", by=owner)["Cache-Control"]
    assert "no-store" in api.post("/api/auth/generate-key", {"name": "x"}, by=owner)["Cache-Control"]
    assert "no-store" in api.get("/api/auth/whoami", by="cmcp_sk_test_wrong")["Cache-Control"]


def test_the_catalog_can_be_cached_publicly(client):
    assert client.get("/api/plans")["Cache-Control"] == "public, max-age=60"
    assert not client.get("/pricing/").has_header("Cache-Control")


@pytest.mark.parametrize("path", ["/admin/", "/admin/accounts/user/", "/admin/accounts/organization/", "/admin/accounts/auditevent/"])
def test_the_admin_complies_with_its_content_security_policy(client, path):
    client.force_login(User.objects.create_superuser("root@staff.example", "a good password"))
    page = client.get(path)
    assert page.status_code == 200
    policy = dict(part.strip().partition(" ")[::2] for part in page["Content-Security-Policy"].split(";"))
    assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
    assert policy["default-src"] == "'self'" and "'unsafe-inline'" not in policy["script-src"]
    assert not re.search(r"<script(?![^>]*(?:src=|type=\"application/json\"))", page.text)
    assert not re.search(r"<[^>]+\son(?:click|change|load|submit)=", page.text)


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs?script="])
def test_the_docs_have_a_content_security_policy(client, path):
    policy = client.get(path)["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert re.search(r"script-src 'self'(?: 'nonce-[^']+')?(;|$)", policy)
