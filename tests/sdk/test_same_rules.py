"""The SDK and the gateway read the same pricing file, and answer with the same lists and results."""

import json

import pytest
from contextmcp_sdk import Pricing, PricingError, Refusal, load_pricing, refusals
from contextmcp_sdk import pricing as sdk
from contextmcp_sdk.tool_list import admit_refusals, view_tool

import contextmcp.common.errors
import contextmcp.gateway.errors
import entitlements.errors
import usage.errors
from contextmcp.common.errors import DomainError
from contextmcp.gateway import pricing as gateway
from contextmcp.gateway.tool_list import restrict_tools
from tests.sdk.examples import code_block

KINDS = {"sessions": "quota", "context_queries": "rate_limit", "sso_integration": "boolean"}
TOOLS = ["ping_tool", "search_notes", "search_", "convert", "transcribe", "other", "convert2"]
CALLS = [
    ({}, {}),
    ({"pages": 3}, {"minutes": 2.5}),
    ({"pages": 3.0}, {"minutes": -1}),
    ({"pages": 101}, {"minutes": 61}),
    ({"pages": True}, {}),
]


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The reference of the documentation, without what only the gateway charges."""
    text = code_block("The pricing file", "toml").split("[servers.notes.resources]")[0]
    path = tmp_path_factory.mktemp("pricing") / "pricing.toml"
    path.write_text(text)
    return path


def amount(module, price, arguments):
    try:
        return module.reserved_amount(price, arguments)
    except Exception as refusal:
        details = getattr(refusal, "details", None) or refusal.problem
        return type(refusal).__name__, details["errors"]


def test_prices_and_amounts_are_the_same(document):
    server = gateway.read_pricing(document, KINDS)["notes"]
    prices = load_pricing(document)
    assert (prices.name, prices.unavailable_tools) == (server.name, server.unavailable_tools.value)
    for tool in TOOLS:
        theirs, ours = server.price_of("tools/call", tool), prices.price_of(tool)
        if not isinstance(theirs, gateway.Price):
            assert ours == theirs.value
            continue
        for name in ("feature", "rate", "hold_seconds", "on_tool_error", "on_protocol_error", "on_upstream_failure", "on_cancel"):
            assert getattr(ours, name) == getattr(theirs, name)
        for arguments, meta in CALLS:
            reserved = amount(gateway, theirs, arguments)
            assert amount(sdk, ours, arguments) == reserved
            if isinstance(reserved, int):
                assert sdk.settled_amount(ours, reserved, meta) == gateway.settled_amount(theirs, reserved, meta)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[servers]",
        "[servers.a]\ndefault = 'maybe'",
        "[servers.a.tools]\nx = { amount = 1 }",
        "[servers.a.tools]\nx = { feature = 'sessions', amount = 0 }",
        "[servers.a.tools]\nx = { feature = 'sessions', amount = { maximum = 5 } }",
        "[servers.a.tools]\nx = { feature = 'sessions', on_cancel = 'keep' }",
        "[servers.a.tools]\nx = { feature = 'sessions', hold_seconds = 86401 }",
        "not toml",
    ],
)
def test_what_the_gateway_refuses_the_sdk_refuses(text, tmp_path):
    path = tmp_path / "pricing.toml"
    path.write_text(text)
    with pytest.raises(gateway.PricingError):
        gateway.read_pricing(path, KINDS)
    with pytest.raises(PricingError):
        load_pricing(path)


def test_output_schemas_admit_refusals_in_the_same_way(document):
    server = gateway.read_pricing(document, KINDS)["notes"]
    schemas = [
        {"type": "object", "properties": {"result": {"type": "string"}, "code": {"const": 1}}, "required": ["result"]},
        {"type": "object", "$defs": {"a": {}}, "allOf": [{"$ref": "#/$defs/a"}], "additionalProperties": False},
    ]
    tools = [{"name": "convert", "outputSchema": schema} for schema in schemas]
    body = json.dumps({"result": {"tools": tools}}).encode()
    listed = json.loads(restrict_tools(body, server, Included(), is_stateless=False))["result"]["tools"]
    assert [tool["outputSchema"] for tool in listed] == [admit_refusals(schema) for schema in schemas]
    view = view_tool(load_pricing(document), None, "convert", "Convert.", schemas[0])
    assert view.output_schema == listed[0]["outputSchema"]
    assert view_tool(Pricing({}), None, "convert", None, None) is None


def test_what_is_decided_locally_says_what_the_service_says():
    modules = (usage.errors, entitlements.errors, contextmcp.common.errors, contextmcp.gateway.errors)
    classes = [each for module in modules for each in vars(module).values() if isinstance(each, type) and issubclass(each, DomainError)]
    messages = {each.code: {other.message for other in classes if other.code == each.code} for each in classes}
    local = [each for each in vars(refusals).values() if isinstance(each, type) and "message" in vars(each) and each is not Refusal]
    assert local
    for each in local:
        assert each.message in messages[each.code]


class Included:
    """Entitlements that include every feature."""

    def require(self, feature):
        return feature
