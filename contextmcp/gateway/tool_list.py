"""Show each customer the tools that the plan includes."""

from __future__ import annotations

import json
from typing import Any

from contextmcp.common.errors import DomainError
from entitlements.types import Entitlements

from .pricing import Default, Price, Server, UnavailableTools
from .results import FACTS, denial_facts

# The schema of the structured content of a refused call (`results.denial_body`).
_REFUSAL_SCHEMA = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
# Keywords of JSON Schema that stay at the root when a schema becomes one of two alternatives: references point to them from anywhere.
_ROOT_ONLY = frozenset({"$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary", "$defs", "definitions"})
# Keywords that may reject an object. They apply to the result of the tool alone.
_ASSERTIONS = frozenset(
    {"required", "additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties"}
    | {"dependentRequired", "dependentSchemas", "dependencies", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "const", "enum"}
    | {"$ref", "$dynamicRef"}
)


def restrict_tools(document: bytes, server: Server, entitlements: Entitlements, *, is_stateless: bool) -> bytes:
    """Return the response to `tools/list` for this plan: other tools are left out or marked. Order and cursor stay as they are.

    The output schema of a tool with a price also admits refusals. Clients compare structured content with it, and some of them
    (`@modelcontextprotocol/sdk` 1.x) do so for results with `isError` too.

    From revision 2026-07-28 on, the response is marked as private to the caller, so that no shared cache keeps it.
    """
    try:
        payload = json.loads(document)
    except (ValueError, RecursionError):
        return document
    result = payload.get("result") if isinstance(payload, dict) else None
    if not isinstance(result, dict) or not isinstance(result.get("tools"), list):
        return document
    tools = [_restrict(tool, server, entitlements) for tool in result["tools"]]
    result["tools"] = [tool for tool in tools if tool is not None]
    if is_stateless:
        result["cacheScope"] = "private"
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _restrict(tool: Any, server: Server, entitlements: Entitlements) -> Any:
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
        return tool
    price = server.price_of("tools/call", tool["name"])
    if price is Default.FREE:
        return tool
    if not isinstance(price, Price):
        return None
    if isinstance(schema := tool.get("outputSchema"), dict):
        tool = tool | {"outputSchema": _admit_refusals(schema)}
    refusal = _refusal(price, entitlements)
    if refusal is None or server.unavailable_tools is UnavailableTools.SHOW:
        return tool
    if server.unavailable_tools is UnavailableTools.HIDE:
        return None
    sentence = denial_facts(refusal)["message"]
    description = tool.get("description")
    return tool | {"description": f"{description}\n\n{sentence}" if isinstance(description, str) and description else sentence}


def _admit_refusals(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that accepts the results of `schema` and refusals. Properties stay at the top level, where clients look for them."""
    root = {keyword: value for keyword, value in schema.items() if keyword not in _ASSERTIONS}
    if isinstance(properties := root.get("properties"), dict):
        root["properties"] = {name: value for name, value in properties.items() if name not in FACTS}
    result = {keyword: value for keyword, value in schema.items() if keyword not in _ROOT_ONLY}
    return root | {"anyOf": [result, _REFUSAL_SCHEMA]}


def _refusal(price: Price, entitlements: Entitlements) -> DomainError | None:
    try:
        for feature in filter(None, (price.feature, price.rate)):
            entitlements.require(feature)
    except DomainError as refusal:
        return refusal
    return None
