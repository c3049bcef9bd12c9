"""The instructions for MCP clients."""

import json
import re
from base64 import b64decode
from html import unescape
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from django.urls import reverse

from accounts.manager import AuthManager
from contextmcp.web import mcp_config

pytestmark = pytest.mark.django_db


@pytest.fixture
def setups(settings):
    settings.OAUTH_ENABLED = True
    settings.MCP_STDIO_COMMAND = ["contextmcp-stdio", "--pricing", "my prices.toml", "--", "notes"]
    return {setup.id: setup for client in mcp_config.clients("cmcp_sk_x") for setup in client.setups}


def test_each_client_gets_the_configuration_that_it_reads(settings, setups):
    url, headers = settings.MCP_SERVER_URL, {"Authorization": "Bearer cmcp_sk_x"}
    assert setups["claude-code-key"].code.replace(" \\\n ", "") == (
        f'claude mcp add --transport http contextmcp {url} --header "Authorization: Bearer cmcp_sk_x"'
    )
    assert setups["claude-code-oauth"].code == f"claude mcp add --transport http contextmcp {url}"
    assert "-- contextmcp-stdio --pricing 'my prices.toml' -- notes" in setups["claude-code-stdio"].code
    assert json.loads(setups["cursor-key"].code) == {"mcpServers": {"contextmcp": {"url": url, "headers": headers}}}
    # VS Code reads another key than the other clients.
    assert json.loads(setups["vs-code-key"].code) == {"servers": {"contextmcp": {"type": "http", "url": url, "headers": headers}}}
    assert json.loads(setups["vs-code-oauth"].code) == {"servers": {"contextmcp": {"type": "http", "url": url}}}
    (bridge,) = json.loads(setups["claude-desktop-key"].code)["mcpServers"].values()
    assert bridge["args"][-3:] == [url, "--header", "Authorization: Bearer cmcp_sk_x"]
    (local,) = json.loads(setups["vs-code-stdio"].code)["servers"].values()
    assert local["command"] == "contextmcp-stdio" and local["env"]["CONTEXTMCP_API_KEY"] == "cmcp_sk_x"
    assert setups["chatgpt-oauth"].code == url
    link = parse_qs(urlsplit(setups["cursor-key"].link).query)
    assert (link["name"], json.loads(b64decode(link["config"][0]))) == (["contextmcp"], {"url": url, "headers": headers})
    packed = setups["vs-code-key"].link.removeprefix("vscode:mcp/install?")
    assert json.loads(unquote(packed)) == {"name": "contextmcp", "type": "http", "url": url, "headers": headers}


def test_without_sign_in_and_a_local_server_only_keys_are_offered(settings):
    settings.OAUTH_ENABLED, settings.MCP_STDIO_COMMAND = False, []
    offered = mcp_config.clients()
    assert [client.id for client in offered] == ["claude-code", "claude-desktop", "cursor", "vs-code"]
    assert all(setup.id.endswith("-key") for client in offered for setup in client.setups)


def test_the_first_key_is_in_the_instructions_and_a_reload_makes_no_second_one(owner, sign_in, settings):
    settings.OAUTH_ENABLED = True
    client = sign_in(owner)
    form = {"name": "Laptop", "form_token": "a" * 32}
    page = client.post(reverse("first-key"), form, follow=True).text
    (raw,) = set(re.findall(r"cmcp_sk_test_[0-9A-Za-z]{30,}", unescape(page)))
    assert unescape(page).count(raw) >= 5 and 'id="client-vs-code"' in page
    assert raw in client.post(reverse("first-key"), form, follow=True).text
    assert AuthManager(owner.organization).keys(owner.caller).count() == 1
    # After the key was copied, the instructions have a placeholder.
    client.post(reverse("forget-key-form"))
    page = client.get(reverse("connect")).text
    assert raw not in page and "YOUR_API_KEY" in page and "Waiting for your first call" in page
