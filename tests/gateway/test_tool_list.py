"""What `tools/list` shows: the schemas of tools that may be refused."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import jsonschema_rs
import pytest

from contextmcp.gateway.pricing import Default, Price, Server, ServerFile
from contextmcp.gateway.tool_list import restrict_tools
from entitlements.types import Entitlements, FeatureEntitlement, Kind, Source

REFUSAL = {"code": "quota_exceeded", "feature": "pages", "limit": 5}
SCHEMAS = (
    ({"type": "object", "properties": {"result": {"type": "string"}}, "required": ["result"]}, {"result": "x"}, {"result": 1}),
    ({"type": "object", "properties": {"code": {"type": "integer"}}, "additionalProperties": False}, {"code": 1}, {"other": 1}),
    (
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"], "$defs": {"A": {"type": "integer"}}},
        {"a": 1},
        {"a": "x"},
    ),
    ({"$ref": "#/$defs/A", "type": "object", "$defs": {"A": {"type": "object", "required": ["a"]}}}, {"a": 1}, {"b": 1}),
)


@pytest.fixture
def entitlements():
    anchor = datetime(2026, 1, 1, tzinfo=UTC)
    pages = FeatureEntitlement("pages", Kind.QUOTA, enabled=True, limit=5, anchor=anchor)
    return Entitlements(uuid4(), True, "any", 1, "Any", Source.FREE, anchor, {"pages": pages}, None, None, "etag")


def shown_schema(schema, price, entitlements):
    server = Server("files", ServerFile("http://127.0.0.1/", default=price), {"pages": "quota"})
    document = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "convert", "outputSchema": schema}]}}).encode()
    shown = json.loads(restrict_tools(document, server, entitlements, is_stateless=False))
    return shown["result"]["tools"][0]["outputSchema"]


@pytest.mark.parametrize(("schema", "result", "wrong"), SCHEMAS)
def test_the_output_schema_of_a_priced_tool_admits_refusals(schema, result, wrong, entitlements):
    assert shown_schema(schema, Default.FREE, entitlements) == schema
    shown = shown_schema(schema, Price("pages"), entitlements)
    assert shown["type"] == "object"
    assert [jsonschema_rs.is_valid(shown, content) for content in (result, REFUSAL, wrong)] == [True, True, False]
