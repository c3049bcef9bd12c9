"""Responses of the gateway: credentials, sessions, lists, limits and malformed requests."""

import json

import httpx
import pytest

from tests.factories.accounts import OrganizationFactory, Person, UserFactory, key_of
from tests.factories.usage import subscribe
from tests.gateway.conftest import McpClient, decode
from tests.gateway.test_charging import used

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


def test_bad_credentials_are_challenged(gateway):
    for authorization in (None, "Bearer nonsense", "Basic YTpi", "Bearer cmcp_sk_test_" + "x" * 44):
        headers = {"Authorization": authorization} if authorization else {}
        answer = httpx.post(f"http://127.0.0.1:{gateway.port}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers)
        assert answer.status_code == 401
        challenge = answer.headers["www-authenticate"]
        assert 'resource_metadata="http://localhost:3003/.well-known/oauth-protected-resource/mcp"' in challenge
        assert ('error="invalid_token"' in challenge) == bool(authorization)


def test_a_key_without_the_scope_is_told_which_one(gateway, organization):
    key = key_of(organization.memberships.get(), ["usage:read"])
    client = McpClient(f"http://127.0.0.1:{gateway.port}/mcp", key)
    answer = client.post("tools/call", {"name": "succeed"})
    assert answer.status_code == 403
    assert 'error="insufficient_scope", scope="usage:write"' in answer.headers["www-authenticate"]
    assert client.post("tools/list").status_code == 200


def test_the_clients_credential_is_not_passed_on(client):
    client.post("ping", **{"Cookie": "a=b", "X-Forwarded-For": "1.2.3.4", "Mcp-Param-Region": "eu"})
    headers = client.upstream_state()["headers"]
    assert not {"authorization", "cookie", "x-forwarded-for"} & set(headers)
    assert client.key not in json.dumps(headers)


def test_other_origins_are_refused(client):
    assert client.post("ping", Origin="https://evil.example").status_code == 403
    assert client.post("ping", Origin="http://localhost:3003").status_code == 200


@pytest.mark.parametrize("path", ["/", "/mcp/other", "/mcp/scripted/x", "/mcpx", "/api/usage/authorize"])
def test_unknown_paths(client, path):
    assert (
        client.http.post(client.url.removesuffix("/mcp") + path, json=client.message("ping"), headers=client.headers("ping")).status_code
        == 404
    )


def test_a_server_by_its_name(client):
    client.url += "/scripted"
    assert client.post("ping").status_code == 200


def test_other_methods_are_refused(client):
    answer = client.http.put(client.url, headers=client.headers())
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, GET, DELETE")


MALFORMED = (
    b"", b"{", b"[]", b"[" * 100_000, b"\xff", b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":null,"method":"ping"}', b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}',
)  # fmt: skip


def test_malformed_messages_are_client_errors(client):
    for body in MALFORMED:
        answer = client.http.post(client.url, content=body, headers=client.headers() | {"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] in (-32700, -32600)


def test_headers_that_contradict_the_body_are_refused(client, organization):
    calls = client.upstream_state()["calls"]
    answer = client.post("tools/call", {"name": "succeed"}, **{"Mcp-Name": "free_tool"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)
    assert client.upstream_state()["calls"] == calls


def test_a_large_body_is_refused(client):
    assert client.post("ping", {"x": "y" * (5 * 2**20)}).status_code == 413


def test_lists_show_what_the_plan_includes(client, organization):
    def names(*, stream=False):
        listed = decode(client.post("tools/list", {"stream": stream}))["result"]
        assert listed["cacheScope"] == "private"
        assert (listed["nextCursor"], listed["ttlMs"]) == ("2", 5)
        return [tool["name"] for tool in listed["tools"]]

    assert names() == names(stream=True) == ["free_tool", "succeed"]
    subscribe(organization, "enterprise")
    for _ in range(50):
        if "exclusive" in names():
            break
    assert names() == ["free_tool", "succeed", "exclusive"]


def test_sessions_belong_to_the_organization_that_opened_them(gateway, key):
    url = f"http://127.0.0.1:{gateway.port}/mcp"
    client = McpClient(url, key, version="2025-11-25")
    session = client.post("initialize").headers["mcp-session-id"]
    assert session.startswith("upstream-session")
    assert client.post("ping", **{"Mcp-Session-Id": session}).status_code == 200
    assert client.upstream_state()["headers"].get("mcp-session-id") is None
    client.post("ping", **{"Mcp-Session-Id": session})
    stranger = McpClient(url, Person(OrganizationFactory(owner=UserFactory()).memberships.get()).key, version="2025-11-25")
    for stolen in (session, "upstream-session", session + "x"):
        assert stranger.post("ping", **{"Mcp-Session-Id": stolen}).status_code == 404
    assert client.http.delete(url, headers=client.headers() | {"Mcp-Session-Id": session}).status_code == 202
    stateless = McpClient(url, key)
    assert stateless.post("ping", **{"Mcp-Session-Id": "unknown"}).status_code == 200
    assert "mcp-session-id" not in stateless.upstream_state()["headers"]


def test_a_client_of_an_earlier_revision_that_leaves_is_charged_for_the_answer(gateway, key, organization):
    client = McpClient(f"http://127.0.0.1:{gateway.port}/mcp", key, version="2025-11-25")
    message = client.message("tools/call", {"name": "stream_progress"})
    with client.http.stream("POST", client.url, json=message, headers=client.headers()) as answer:
        next(answer.iter_lines())
    assert used(organization) == 1


def test_an_answer_on_another_stream_of_the_session_is_charged_once(gateway, key, organization):
    client = McpClient(f"http://127.0.0.1:{gateway.port}/mcp", key, version="2025-11-25")
    session = client.post("initialize").headers["mcp-session-id"]
    assert "result" not in client.post("tools/call", {"name": "answer_later"}, **{"Mcp-Session-Id": session}).text
    for _ in range(2):
        resumed = client.headers() | {"Mcp-Session-Id": session, "Last-Event-ID": "answer-later"}
        assert client.http.get(client.url, headers=resumed).status_code == 200
    assert used(organization) == 1


def test_a_gateway_with_a_faulty_file_does_not_start(start_gateway, prices, capfd):
    with pytest.raises(AssertionError, match="did not start"), start_gateway(prices.replace("sessions", "sesions")):
        pass
    assert "the catalog has no feature 'sesions'" in capfd.readouterr().err
