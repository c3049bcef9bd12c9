"""Sign-in without a key: the web server, the gateway and the official client as real processes."""

import asyncio
import json
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import httpx
import jwt
import pytest
from django.test import Client
from fastmcp import Client as FastMCPClient

from accounts.manager import AuthManager
from accounts.models import OAuthGrant
from accounts.oauth import grants
from contextmcp.devstack.services import REPOSITORY
from tests.factories.accounts import MembershipFactory, Person
from tests.factories.oauth import connect_app
from tests.gateway.conftest import McpClient, Upstream
from tests.gateway.sign_in import REDIRECT, Browser, Storage, call_with_sign_in
from tests.gateway.test_charging import used
from tests.support.gates import WebProcess, free_port, running
from tests.support.https_documents import serve_documents
from tests.support.node import require_node
from tests.support.workers import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
PRICES = """
[servers.official]
url = "{official}"
default = {{ feature = "sessions" }}

[servers.scripted]
url = "http://127.0.0.1:{scripted}/mcp"
default = "deny"

[servers.scripted.tools]
free_tool = "free"
succeed = {{ feature = "sessions" }}
echo_headers = {{ feature = "sessions" }}
"""


@pytest.fixture(scope="module")
def world(start_gateway, upstream, django_db_setup, django_db_blocker, tmp_path_factory):
    """The web server, the gateway in front of two servers, and a site with metadata documents of clients."""
    web_port, gateway_port = free_port(), free_port()
    site, gateway = f"http://localhost:{web_port}", f"http://localhost:{gateway_port}"
    shared = {"PUBLIC_URL": site, "MCP_SERVER_URL": f"{gateway}/mcp", "WEBHOOKS_ALLOW_PRIVATE": "true"}
    with Upstream("conformance_server") as official, serve_documents(tmp_path_factory.mktemp("documents")) as documents:
        prices = PRICES.format(official=official.url, scripted=upstream.port)
        trusted = {"SSL_CERT_FILE": str(documents.certificate)}
        with (
            start_gateway(prices, port=gateway_port, **shared),
            django_db_blocker.unblock(),
            running(WebProcess, port=web_port, **shared, **trusted),
        ):
            yield SimpleNamespace(site=site, gateway=gateway, documents=documents)


@pytest.fixture
def person(organization):
    return Person(organization.memberships.get())


@pytest.fixture
def browser(person):
    client = Client()
    client.force_login(person.user)
    return Browser(client.cookies["sessionid"].value)


@pytest.fixture
def bound(world, settings):
    """Let this process name the addresses of the gateway too."""
    settings.MCP_SERVER_URL = f"{world.gateway}/mcp"


def test_the_official_client_signs_in_by_registration_and_by_its_document(world, browser, organization, person, bound):
    url = f"{world.gateway}/mcp/official"
    document = f"{world.documents.url}/client.json"
    # Installed apps list a loopback address without the port that they will listen on.
    described = {"client_id": document, "client_name": "Documented client", "redirect_uris": ["http://localhost/callback"]}
    world.documents.documents["/client.json"] = described | {"token_endpoint_auth_method": "none"}
    storages = []
    for client_document in (None, document):
        storages.append(Storage())
        result = call_with_sign_in(url, browser, "test_simple_text", storages[-1], client_document)
        assert not result.is_error, result
    assert used(organization) == 2
    assert (storages[0].tokens.scope, storages[0].tokens.expires_in) == ("usage:write offline_access", 3600)
    assert storages[1].client.client_id == document and "published by <strong>localhost</strong>" in browser.page
    connected = {grant.client_name: grant for grant in OAuthGrant.objects.all()}
    assert set(connected) == {"Official client", "Documented client"}
    assert connected["Official client"].resources == [url]

    token = storages[0].tokens.access_token
    refused = McpClient(f"{world.gateway}/mcp/scripted", token).post("tools/list")
    assert (refused.status_code, refused.json()["error"]["data"]["code"]) == (401, "token_for_other_resource")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]

    # The tokens rotate, the session of the client goes on with the new ones.
    body = {"grant_type": "refresh_token", "client_id": storages[0].client.client_id, "refresh_token": storages[0].tokens.refresh_token}
    fresh = httpx.post(f"{world.site}/oauth/token", data=body)
    assert fresh.status_code == 200 and httpx.post(f"{world.site}/oauth/token", data=body).json() == {"error": "invalid_grant"}
    mcp = McpClient(url, fresh.json()["access_token"])
    # The official server misses `_meta`, which is not the credential's fault.
    assert mcp.post("tools/list").status_code == 400

    grants.disconnect(AuthManager(organization).as_member(person.user), connected["Official client"].pk)
    until(lambda: mcp.post("tools/list").status_code == 401, "the revoked token is refused", 10)
    assert mcp.post("tools/list").json()["error"]["data"]["code"] == "token_not_found"


def test_fastmcp_signs_in(world, browser, organization, monkeypatch):
    def open_browser(url):
        location = browser.decide(url)
        # The client listens for its user once this function has returned.
        threading.Thread(target=lambda: until(lambda: reaches(location), "the client listens")).start()

    def reaches(location):
        with suppress(httpx.TransportError):
            return httpx.get(location).status_code == 200

    async def call():
        async with FastMCPClient(f"{world.gateway}/mcp/official", auth="oauth") as client:
            return (await client.call_tool("test_simple_text")).content[0].text

    monkeypatch.setattr("webbrowser.open", open_browser)
    assert "simple text" in asyncio.run(call())
    assert used(organization) == 1


def test_typescript_clients_sign_in(world, browser, organization):
    node = require_node()
    document = f"{world.documents.url}/typescript.json"
    described = {"client_id": document, "client_name": "TypeScript", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
    world.documents.documents["/typescript.json"] = described
    for package, *more in (("@modelcontextprotocol/sdk",), ("@modelcontextprotocol/client", document)):
        script = str(Path(__file__).parent / "clients/typescript_oauth.mjs")
        command = node.command(script, f"{world.gateway}/mcp/official", REDIRECT, package, *more)
        with subprocess.Popen(command, cwd=node.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                location = browser.decide(json.loads(process.stdout.readline())["authorize"])
                process.stdin.write(f"{location}\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
            finally:
                process.kill()
        assert "simple text" in answer.get("text", ""), (package, answer)
        assert (answer["client"] == document) is bool(more)
    assert used(organization) == 2


def test_roles_limit_tokens(world, organization, bound):
    member = MembershipFactory(organization=organization)
    mcp = McpClient(f"{world.gateway}/mcp/scripted", connect_app(member)[1])
    assert "result" in mcp.call("succeed")
    assert used(organization) == 1
    AuthManager(organization).change_role(None, member.pk, "viewer")
    until(lambda: "error" in mcp.post("tools/call", {"name": "succeed"}).json(), "the role is applied", 10)
    refused = mcp.post("tools/call", {"name": "succeed"})
    assert (refused.status_code, refused.json()["error"]["data"]["code"]) == (403, "permission_denied")
    # A client that learns of a missing scope would ask its user again without success.
    assert "www-authenticate" not in refused.headers
    assert "result" in mcp.call("free_tool")
    AuthManager(organization).remove_member(None, member.pk)
    until(lambda: mcp.post("tools/list").status_code == 401, "the token of a former member is refused", 10)


def test_a_missing_scope_is_challenged(world, organization, bound):
    mcp = McpClient(f"{world.gateway}/mcp/scripted", connect_app(organization.memberships.get(), ("openid",))[1])
    refused = mcp.post("tools/call", {"name": "succeed"})
    assert refused.status_code == 403
    challenge = f'scope="usage:write", resource_metadata="{world.gateway}/.well-known/oauth-protected-resource/mcp/scripted"'
    assert refused.headers["www-authenticate"] == f'Bearer error="insufficient_scope", {challenge}'


def test_metadata_leads_to_the_authorization_server(world):
    refused = httpx.post(f"{world.gateway}/mcp/official", json={})
    assert refused.status_code == 401
    address = refused.headers["www-authenticate"].partition('resource_metadata="')[2].rstrip('"')
    document = httpx.get(address, headers={"Origin": "https://inspector.example"})
    assert document.headers["access-control-allow-origin"] == "*"
    assert document.json() == {
        "resource": f"{world.gateway}/mcp/official",
        "authorization_servers": [world.site],
        "scopes_supported": ["usage:write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "ContextMCP official",
    }
    well_known = f"{world.gateway}/.well-known/oauth-protected-resource"
    for path in ("", "/mcp"):
        assert httpx.get(f"{well_known}{path}").json()["resource"] == f"{world.gateway}/mcp"
    assert httpx.options(address).status_code == 200
    assert (httpx.get(f"{well_known}/mcp/unknown").status_code, httpx.post(address).status_code) == (404, 405)
    server = httpx.get(f"{world.site}/.well-known/oauth-authorization-server").json()
    assert (server["issuer"], server["protected_resources"]) == (world.site, [f"{world.gateway}/mcp"])


def test_upstream_gets_a_signed_assertion_and_no_credential(world, upstream, organization, person, bound):
    mcp = McpClient(f"{world.gateway}/mcp/scripted", connect_app(organization.memberships.get())[1])
    published = httpx.get(f"{world.gateway}/.well-known/jwks.json").json()
    assert httpx.get(f"{world.site}/.well-known/jwks.json").json() == published
    # The example of the documentation, for this test's site.
    example = (REPOSITORY / "docs/gateway.md").read_text().partition("# verify_caller.py\n")[2].partition("```")[0]
    module = {}
    exec(example.replace("http://localhost:3001", world.site), module)

    def claims(headers):
        assert "authorization" not in headers and mcp.key not in str(headers)
        raw = headers["x-contextmcp-assertion"]
        with pytest.raises(jwt.InvalidAudienceError):
            module["verify_caller"](raw, "http://elsewhere.example/mcp")
        return module["verify_caller"](raw, f"http://127.0.0.1:{upstream.port}/mcp")

    shared = claims(mcp.upstream_state()["headers"])
    assert (shared["sub"], shared["organization"], shared["plan"]) == (str(person.user.pk), str(organization.pk), "free")
    assert shared["exp"] - shared["iat"] == 60 and "request_id" not in shared
    charged = mcp.call("echo_headers")["result"]["_meta"]["headers"]
    assert claims(charged)["request_id"] == charged["x-request-id"]
    assert used(organization) == 1


def test_bad_credentials_never_cause_a_fault(world):
    tokens = [
        "cmcp_at_",
        "cmcp_at_test_" + "A" * 50,
        "cmcp_at_live_" + "0" * 50,
        "cmcp_rt_test_" + "A" * 50,
        "cmcp_at_test_\xff",
        "x" * 5000,
    ]
    for header in [*(f"Bearer {token}" for token in tokens), "Bearer", "Basic eDp5", "DPoP x"]:
        answer = httpx.post(f"{world.gateway}/mcp/official", json={}, headers=[("Authorization", header.encode("latin-1"))])
        assert answer.status_code in {400, 401}, (header[:40], answer.text)
        assert "resource_metadata" in answer.headers["www-authenticate"]
    # Only MCP servers accept access tokens.
    assert httpx.get(f"{world.site}/api/auth/whoami", headers={"Authorization": "Bearer cmcp_at_test_" + "A" * 50}).status_code == 401


def test_the_conformance_suite_accepts_the_authorization_server(world, browser, bound, tmp_path):
    node, port = require_node(), free_port()
    registration = {"redirect_uris": [f"http://127.0.0.1:{port}/callback"], "token_endpoint_auth_method": "none"}
    app = httpx.post(f"{world.site}/oauth/register", json=registration).json()
    chosen = ["--url", world.site, "--client-id", app["client_id"], "--resource", f"{world.gateway}/mcp", "--port", str(port)]
    command = [*node.conformance, "authorization", *chosen, "--output-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if "/oauth/authorize?" in line:
                    httpx.get(browser.decide(line.strip()))
        finally:
            process.kill()
    checks = [check for path in tmp_path.glob("**/checks.json") for check in json.loads(path.read_text())]
    assert len(checks) >= 2 and {check["status"] for check in checks} == {"SUCCESS"}, lines
