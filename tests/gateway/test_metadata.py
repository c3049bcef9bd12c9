"""The documents that the gateway publishes, under each form of its public address."""

import json

import pytest

from contextmcp.common.errors import MethodNotAllowed
from contextmcp.gateway.metadata import Metadata

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def document(metadata, path):
    found = metadata.answer("GET", path)
    return found and json.loads(found[1])


def test_a_proxy_may_publish_the_gateway_under_another_path(settings):
    settings.MCP_SERVER_URL = "https://mcp.example/tools/mcp/"
    metadata = Metadata("/mcp", ["notes"], "usage:write")
    for path in ("", "/mcp", "/tools/mcp"):
        assert document(metadata, WELL_KNOWN + path)["resource"] == "https://mcp.example/tools/mcp"
    for path in ("/mcp/notes", "/tools/mcp/notes"):
        assert document(metadata, WELL_KNOWN + path)["resource"] == "https://mcp.example/tools/mcp/notes"
    assert metadata.challenge_parameter("/mcp/notes") == f'resource_metadata="https://mcp.example{WELL_KNOWN}/tools/mcp/notes"'
    assert metadata.challenge_parameter("/mcp") == f'resource_metadata="https://mcp.example{WELL_KNOWN}/tools/mcp"'
    assert document(metadata, f"{WELL_KNOWN}/mcp/other") is None
    with pytest.raises(MethodNotAllowed):
        metadata.answer("POST", WELL_KNOWN)


def test_without_oauth_only_keys_are_published(settings):
    settings.OAUTH_ENABLED = False
    metadata = Metadata("/mcp", ["notes"], "usage:write")
    assert (document(metadata, WELL_KNOWN), metadata.challenge_parameter("/mcp")) == (None, None)
    assert document(metadata, "/.well-known/jwks.json")["keys"][0]["kty"] == "OKP"
