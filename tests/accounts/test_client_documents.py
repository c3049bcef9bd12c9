"""Client ID Metadata Documents: read from public addresses, within limits, and only if they are safe."""

import json

import pytest
from allauth.idp.oidc.models import Client as OAuthClient
from django.test import Client

from tests.support.https_documents import DRIP, serve_documents
from tests.support.oauth import App, redirect_parameters

pytestmark = pytest.mark.django_db
REDIRECT = "http://localhost/callback"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serve_documents(tmp_path_factory.mktemp("documents")) as site:
        yield site


@pytest.fixture
def browser(owner, site, settings, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(site.certificate))
    settings.WEBHOOKS_ALLOW_PRIVATE = True
    settings.IDP_OIDC_RATE_LIMITS = {"cimd_fetch": "100/m/ip"}
    client = Client()
    client.force_login(owner.user)
    return client


def page(browser, address):
    return browser.get(App(browser, id=address).address())


def described(site, path="/client.json", **fields):
    address = f"{site.url}{path}"
    document = {"client_id": address, "client_name": "Assistant", "redirect_uris": [REDIRECT], **fields}
    site.documents[path] = {name: value for name, value in document.items() if value is not None}
    return address


def test_a_document_is_read_once_and_again_when_it_is_outdated(browser, site):
    address = described(site)
    shown = page(browser, address).content.decode()
    assert "Connect Assistant" in shown and "published by <strong>localhost</strong>" in shown and "is not verified" not in shown
    described(site, client_name="Renamed")
    assert "Connect Assistant" in page(browser, address).content.decode()
    row = OAuthClient.objects.get(pk=address)
    OAuthClient.objects.filter(pk=address).update(data=row.data | {"updated_at": 0})
    assert "Connect Renamed" in page(browser, address).content.decode()
    # An outdated document that cannot be read any more stays in use.
    OAuthClient.objects.filter(pk=address).update(data=row.data | {"updated_at": 0})
    del site.documents["/client.json"]
    assert "Connect Renamed" in page(browser, address).content.decode()


@pytest.mark.parametrize(
    "fields",
    [
        {"client_id": "https://other.example/client.json"},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["http://elsewhere.example/"]},
        {"redirect_uris": None},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"client_name": "NUL \0"},
        {"client_name": 5},
        {"padding": "x" * 6000},
    ],
)
def test_a_document_that_is_not_acceptable_is_no_client(browser, site, fields):
    assert page(browser, described(site, **fields)).status_code == 400
    assert not OAuthClient.objects.exists()


def test_what_is_no_document_is_no_client(browser, site):
    for content in (b"", b"[" * 5000, b"\xff", json.dumps([]).encode()):
        site.documents["/broken.json"] = content
        assert page(browser, f"{site.url}/broken.json").status_code == 400
    for address in (
        f"{site.url}/missing.json",
        "https://localhost:1/a",
        f"{site.url}/",
        f"{site.url}/a/../b",
        f"{site.url}/a?b",
        "https:///a",
    ):
        assert page(browser, address).status_code == 400, address


def test_a_server_that_never_finishes_is_given_up(browser, site, monkeypatch):
    monkeypatch.setattr("accounts.oauth.metadata_document.TOTAL_SECONDS", 0.5)
    site.documents["/slow.json"] = DRIP
    # Without the deadline this would not return.
    assert page(browser, f"{site.url}/slow.json").status_code == 400


def test_documents_on_private_addresses_are_not_read(browser, site, settings):
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    address = described(site)
    for url in (address, address.replace("localhost", "127.0.0.1"), "https://169.254.169.254/latest", "https://[::1]/a"):
        assert page(browser, url).status_code == 400
    assert not OAuthClient.objects.exists()


def test_a_name_that_resolves_to_a_private_address_is_not_read(browser, site, settings, monkeypatch):
    settings.WEBHOOKS_ALLOW_PRIVATE = False
    monkeypatch.setattr("socket.getaddrinfo", lambda *arguments, **options: [(2, 1, 6, "", ("10.0.0.1", 443))])
    assert page(browser, "https://public.example/client.json").status_code == 400


def test_anonymous_requests_do_not_make_the_server_read_documents(client, browser, site):
    address = described(site, "/anonymous.json")
    app = App(id=address)
    assert client.get(app.address())["Location"].startswith("/accounts/login/")
    assert client.get(app.address(prompt="none")).status_code == 400
    assert not OAuthClient.objects.filter(pk=address).exists()
    assert redirect_parameters(browser.post(app.address(), {"action": "deny"})["Location"])["error"] == "access_denied"
