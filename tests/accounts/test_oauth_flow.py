"""The authorization server: registration, consent, exchange, rotation and revocation."""

import base64
import json
from datetime import timedelta

import pytest
from allauth.idp.oidc.models import Client as OAuthClient
from django.urls import reverse

from accounts.checks import oauth_is_configured
from accounts.manager import AuthManager
from accounts.models import AuditEvent, OAuthGrant, OAuthToken
from accounts.oauth import grants
from contextmcp.common.clock import now
from tests.factories.accounts import MembershipFactory, OrganizationFactory, UserFactory
from tests.support.oauth import App, browser_of, redirect_parameters

pytestmark = pytest.mark.django_db
ISSUER = "http://localhost:3001"
MCP = "http://localhost:3001/mcp"


@pytest.fixture
def app(member):
    return App(browser_of(member))


def test_metadata_names_what_the_server_supports(client):
    documents = [client.get(f"/.well-known/{name}") for name in ("oauth-authorization-server", "openid-configuration")]
    assert documents[0].json() == documents[1].json()
    document = documents[0].json()
    assert document["issuer"] == ISSUER
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] and document["client_id_metadata_document_supported"]
    assert document["registration_endpoint"] == f"{ISSUER}/oauth/register"
    assert client.get("/oauth/jwks.json").json()["keys"][0]["kty"] == "RSA"
    preflight = client.options("/oauth/token")
    assert (preflight.status_code, preflight["Access-Control-Allow-Origin"]) == (204, "*")


def test_connecting_an_app_gives_tokens_and_is_audited(app, member):
    answer = app.consent(scope="usage:write openid offline_access", nonce="n-1")
    assert (answer["state"], answer["iss"]) == ("state-1", ISSUER)
    assert not grants.connections(AuthManager(member.organization).as_member(member.user))
    tokens = app.exchange(answer["code"]).json()
    assert tokens["access_token"].startswith("cmcp_at_test_") and tokens["refresh_token"].startswith("cmcp_rt_test_")
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 3600, "usage:write openid offline_access")
    assert tokens["id_token"].count(".") == 2
    grant = OAuthGrant.objects.get()
    assert (grant.membership.user, grant.client_name, grant.resources) == (member.user, "Test app", [MCP])
    event = AuditEvent.objects.get(action="app.connected")
    assert (event.organization, event.actor_user, event.after["scopes"]) == (member.organization, member.user, grant.scopes)
    user = app.http.get("/oauth/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json()
    assert user == {"sub": str(member.user.pk)}
    assert app.http.get("/oauth/userinfo", headers={"Authorization": "Bearer cmcp_at_x"}).status_code == 401


def test_the_user_can_refuse(app):
    answer = app.consent(action="deny")
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "state-1", ISSUER)
    assert not OAuthGrant.objects.exists()


def test_the_page_names_the_app_the_organization_and_the_permissions(member):
    app = App(browser_of(member), client_name="Editor\u202e")
    page = app.browser.get(app.address(scope="usage:write email"))
    text = page.content.decode()
    assert "Connect Editor</h1>" in text and "Its name is not verified" in text
    assert member.organization.name in text and "Calls count against the plan" in text and "See your email address" in text
    # Chromium applies form-action to the redirect after the form.
    assert "form-action 'self' https://checkout.stripe.com https://billing.stripe.com http://localhost" in page["Content-Security-Policy"]
    assert page["X-Frame-Options"] == "DENY"


def test_the_organization_is_chosen_among_those_of_the_user(app, member, stranger):
    other = MembershipFactory(organization=OrganizationFactory(name="Other"), user=member.user, role="viewer")
    page = app.browser.get(app.address()).content.decode()
    assert "Other" in page and "does not include calls that count against its plan" in page
    app.connect(other.organization_id)
    assert OAuthGrant.objects.get().membership == other
    refused = app.browser.post(app.address(), {"organization": str(stranger.organization.pk), "action": "allow"})
    assert refused.status_code == 400


def test_a_viewer_cannot_give_the_spending_scope(viewer):
    tokens = App(browser_of(viewer)).connect(scope="usage:write openid")
    assert tokens["scope"] == "openid"
    assert OAuthGrant.objects.get().scopes == ["openid"]


def test_a_code_works_once_and_its_second_use_ends_the_grant(app):
    code = app.consent()["code"]
    for wrong in ({"code_verifier": "x" * 43}, {"redirect_uri": "http://localhost/other"}, {"client_id": App().id}):
        assert app.exchange(code, **wrong).json()["error"] in {"invalid_grant", "invalid_request"}
    tokens = app.exchange(code).json()
    assert app.exchange(code).json() == {"error": "invalid_grant"}
    assert grants.find_access_token(tokens["access_token"]) is None
    assert AuditEvent.objects.get(action="app.disconnected").reason == "The authorization code was used twice."


def test_an_expired_code_is_refused(app):
    code = app.consent()["code"]
    OAuthGrant.objects.update(code_expires_at=now())
    assert app.exchange(code).json()["error"] == "invalid_grant"


def test_refresh_tokens_rotate_and_reuse_ends_the_grant(app):
    first = app.connect()
    second = app.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"] and second["access_token"] != first["access_token"]
    # Repeated at once: refused, without ending the grant.
    assert app.refresh(first["refresh_token"]).json() == {"error": "invalid_grant"}
    third = app.refresh(second["refresh_token"]).json()
    OAuthToken.objects.filter(replaced_at__isnull=False).update(replaced_at=now() - timedelta(minutes=5))
    assert app.refresh(first["refresh_token"]).json() == {"error": "invalid_grant"}
    assert app.refresh(third["refresh_token"]).json() == {"error": "invalid_grant"}
    assert grants.find_access_token(third["access_token"]) is None


def test_refreshing_can_narrow_scopes_but_not_widen_them(app):
    tokens = app.connect(scope="usage:write openid")
    narrowed = app.refresh(tokens["refresh_token"], scope="openid").json()
    assert narrowed["scope"] == "openid"
    # The next access token may have all scopes of the grant again.
    assert app.refresh(narrowed["refresh_token"]).json()["scope"] == "usage:write openid"
    other = App(app.browser)
    tokens = other.connect(scope="openid")
    assert other.refresh(tokens["refresh_token"], scope="usage:write").json()["error"] == "invalid_scope"


def test_tokens_are_bound_to_the_resources_of_the_request(app):
    tokens = app.connect(resource=f"{MCP}/notes")
    assert OAuthGrant.objects.get().resources == [f"{MCP}/notes"]
    assert app.refresh(tokens["refresh_token"], resource=f"{MCP}/other").json()["error"] == "invalid_target"
    for foreign in ("https://elsewhere.example/mcp", "http://localhost:3001/mcp/a/b", "nonsense", "http://[", "http://localhost:x/mcp"):
        answer = app.browser.get(app.address(resource=foreign))
        assert redirect_parameters(answer["Location"])["error"] == "invalid_target", foreign
        assert app.refresh(tokens["refresh_token"], resource=foreign).json()["error"] == "invalid_target"
    # Without the parameter it is the address of all servers, also written in another form.
    app.connect(resource=None)
    app.connect(resource="HTTP://LOCALHOST:3001/mcp/")
    assert OAuthGrant.objects.filter(resources=[MCP]).count() == 2


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unauthorized_client"),
        ({"response_type": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": "billing:write"}, "invalid_scope"),
        ({"scope": "openid", "nonce": "n" * 256}, "invalid_request"),
        ({"scope": "openid", "claims": "[1]"}, "invalid_request"),
        ({"scope": "openid", "prompt": "none"}, "consent_required"),
    ],
)
def test_a_bad_request_is_answered_to_the_app(app, parameters, error):
    answer = app.browser.get(app.address(**parameters))
    assert answer["Location"].startswith("http://localhost/callback?")
    result = redirect_parameters(answer["Location"])
    assert (result["error"], result["iss"], result["state"]) == (error, ISSUER, "state-1")


@pytest.mark.parametrize(
    "parameters",
    [
        {"client_id": "unknown"},
        {"client_id": None},
        {"client_id": "\0"},
        {"client_id": ["a", "b"]},
        {"client_id": "https://["},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "http://localhost/callback#x"},
        {"redirect_uri": "http://localhost@evil.example/callback"},
        {"redirect_uri": "http://localhost/other"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": None},
        {"state": "s" * 5000},
    ],
)
def test_a_request_that_names_no_known_app_is_answered_with_a_page(app, parameters):
    answer = app.browser.get(app.address(**parameters))
    assert (answer.status_code, "The app sent a request that is not valid." in answer.content.decode()) == (400, True)


def test_installed_apps_choose_the_port_of_their_loopback_address(app):
    assert "code" in app.consent(redirect_uri="http://localhost:49152/callback")


def test_an_anonymous_visitor_returns_to_consent_after_signing_up(app, client):
    first = client.get(app.address(prompt="login consent"))
    assert first["Location"].startswith("/accounts/login/?next=%2Foauth%2Fauthorize") and "prompt%3Dconsent" in first["Location"]
    assert client.get(app.address(client_id="deleted")).status_code == 400
    assert redirect_parameters(client.get(app.address(prompt="none", scope="openid"))["Location"])["error"] == "login_required"
    assert redirect_parameters(client.get(app.address(prompt="none"))["Location"])["error"] == "login_required"
    client.force_login(UserFactory())
    assert client.get(app.address())["Location"] == reverse("new-organization")
    answer = client.post(reverse("new-organization"), {"name": "Fresh"})
    assert client.get(answer["Location"])["Location"] == app.address()
    assert client.get(app.address()).status_code == 200
    assert client.get(reverse("home"))["Location"] == reverse("welcome")


def test_the_app_gives_tokens_back(app):
    tokens = app.connect()
    assert app.http.post("/oauth/revoke", {"client_id": app.id, "token": tokens["access_token"]}).status_code == 200
    assert grants.find_access_token(tokens["access_token"]) is None
    again = app.refresh(tokens["refresh_token"]).json()
    for _ in range(2):
        assert app.http.post("/oauth/revoke", {"client_id": app.id, "token": again["refresh_token"]}).status_code == 200
    assert grants.find_access_token(again["access_token"]) is None
    stranger = App()
    assert stranger.http.post("/oauth/revoke", {"client_id": stranger.id, "token": "unknown"}).status_code == 200
    assert stranger.http.post("/oauth/revoke", {"client_id": "unknown", "token": "unknown"}).status_code == 401


def test_confidential_clients_authenticate_with_their_secret(member):
    app = App(browser_of(member), token_endpoint_auth_method="client_secret_post")
    secret = app.registration["client_secret"]
    assert secret not in str(OAuthClient.objects.values().get())
    code = app.consent()["code"]
    assert app.exchange(code).status_code == 401
    assert app.exchange(code, client_secret="wrong").status_code == 401
    tokens = app.exchange(code, client_secret=secret).json()
    basic = base64.b64encode(f"{app.id}:{secret}".encode()).decode()
    body = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert app.http.post("/oauth/token", body, headers={"Authorization": "Basic bm86bm8="}).status_code == 401
    assert app.http.post("/oauth/token", body, headers={"Authorization": f"Basic {basic}"}).status_code == 200


def test_registration_stores_what_this_server_supports(member):
    app = App(grant_types=["authorization_code", "refresh_token"], scope="usage:write unknown", client_uri="https://a.example")
    assert (app.registration["scope"], app.registration["grant_types"]) == ("usage:write", ["authorization_code", "refresh_token"])
    assert "client_secret" not in app.registration


def test_registrations_are_limited_before_they_cost_anything(client, settings, monkeypatch):
    settings.IDP_OIDC_RATE_LIMITS = {"client_registration": "2/m/ip"}
    for body in ("{}", json.dumps({"redirect_uris": ["javascript:alert(1)"]})):
        assert client.post("/oauth/register", body, content_type="application/json").status_code == 400
    monkeypatch.setattr("allauth.idp.oidc.models.make_password", None)
    ok = json.dumps({"redirect_uris": ["https://a.example/"]})
    assert client.post("/oauth/register", ok, content_type="application/json").status_code == 429


def test_bad_registrations_and_token_requests_are_refused_with_400(client, app, settings):
    settings.IDP_OIDC_RATE_LIMITS = {"client_registration": "1000/m/ip"}

    def register(body):
        return client.post("/oauth/register", body, content_type="application/json")

    ok = {"client_name": "x", "redirect_uris": ["https://a.example/"], "token_endpoint_auth_method": "none"}
    bad_uris = (
        "javascript:alert(1)",
        "http://a.example/",
        "https://",
        "data:x",
        "https://a.example/#x",
        "https://u@a.example/",
        "//a",
        "http://[",
    )
    bodies = [ok | {"redirect_uris": [uri]} for uri in bad_uris]
    bodies += [ok | {"redirect_uris": value} for value in ([], None, "x", [1], {"a": 1})]
    bodies += [ok | {"client_name": value} for value in ("a\0b", "\ud800", "x" * 101, "<b>")]
    bodies += [ok | {"grant_types": value} for value in (["client_credentials"], ["implicit"], [[]], 5)]
    bodies += [ok | {"response_types": ["token"]}, ok | {"token_endpoint_auth_method": "private_key_jwt"}, ok | {"logo_uri": "a\0"}, []]
    for body in [*map(json.dumps, bodies), "", "{", "[" * 100_000, '{"a": "' + "x" * 20_000 + '"}', b"\xff\xfe"]:
        assert register(body).status_code == 400, body[:100]
        OAuthClient.objects.all().delete()
    for fields in ({}, {"grant_type": "password"}, {"grant_type": "client_credentials"}, {"grant_type": "a\0"}, {"code": ["a", "b"]}):
        assert client.post("/oauth/token", fields).status_code == 400, fields
    for fields in ({"grant_type": "authorization_code", "code": "\0"}, {"grant_type": "refresh_token", "refresh_token": "x" * 5000}):
        assert client.post("/oauth/token", fields | {"client_id": "x"}).status_code == 400
    assert client.post("/oauth/token", "{}", content_type="application/json").status_code == 400
    assert client.post("/oauth/token?a=b", {"grant_type": "refresh_token"}).status_code == 400
    for query in ("%zz", "a=%zz", "&&=", 'a="<|>', "%ff%00", "\u00e9", "a;b"):
        for path in ("token", "revoke", "userinfo", "register"):
            answer = client.post(f"/oauth/{path}?{query}", {"client_id": "x"})
            assert answer.status_code in {400, 401} and answer["Cache-Control"] == "no-store", (path, query)
        assert app.browser.get(f"{app.address()}&{query}").status_code in {200, 400}, query
    assert client.get("/oauth/token").status_code == 405


def test_without_a_key_the_server_has_no_oauth(client, settings):
    assert oauth_is_configured() == []
    settings.OAUTH_ENABLED = False
    assert "OAUTH_PRIVATE_KEY is not set" in oauth_is_configured()[0].msg
    for path in ("/.well-known/oauth-authorization-server", "/oauth/authorize", "/oauth/jwks.json"):
        assert client.get(path).status_code == 404
    settings.OAUTH_ENABLED, settings.IDP_OIDC_DCR_ENABLED = True, False
    assert client.post("/oauth/register", "{}", content_type="application/json").status_code == 404
    assert "registration_endpoint" not in client.get("/.well-known/oauth-authorization-server").json()
