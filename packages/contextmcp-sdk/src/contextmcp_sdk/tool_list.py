"""Show each customer the tools that the plan includes, as the gateway does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from .denials import DETAILS
from .pricing import Price, Pricing
from .refusals import FeatureNotAvailable
from .types import Entitlements

# The schema of the structured content of a refused call.
_REFUSAL_SCHEMA = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
_FACTS = ("code", *DETAILS)
# Keywords of JSON Schema that stay at the root when a schema becomes one of two alternatives: references point to them from anywhere.
_ROOT_ONLY = frozenset({"$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary", "$defs", "definitions"})
# Keywords that may reject an object. They apply to the result of the tool alone.
_ASSERTIONS = frozenset(
    {"required", "additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties"}
    | {"dependentRequired", "dependentSchemas", "dependencies", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "const", "enum"}
    | {"$ref", "$dynamicRef"}
)


class ToolView(Struct, frozen=True):
    """A tool as it is listed for a customer."""

    description: str | None
    output_schema: dict[str, Any] | None


def view_tool(
    pricing: Pricing, entitlements: Entitlements | None, name: str, description: str | None, output_schema: Mapping[str, Any] | None
) -> ToolView | None:
    """Return how a tool is listed, or None if it is not. Without `entitlements` the plan is unknown, and all tools are listed.

    The output schema of a tool with a price also admits refusals, because some clients compare the content of any result with it.
    """
    price = pricing.price_of(name)
    schema = None if output_schema is None else dict(output_schema)
    if price == "free":
        return ToolView(description, schema)
    if not isinstance(price, Price):
        return None
    schema = schema and admit_refusals(schema)
    if entitlements is None or pricing.unavailable_tools == "show" or _is_included(price, entitlements):
        return ToolView(description, schema)
    if pricing.unavailable_tools == "hide":
        return None
    sentence = FeatureNotAvailable.message
    return ToolView(f"{description}\n\n{sentence}" if description else sentence, schema)


def admit_refusals(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that accepts the results of `schema` and refusals. Properties stay at the top level, where clients look for them."""
    root = {keyword: value for keyword, value in schema.items() if keyword not in _ASSERTIONS}
    if isinstance(properties := root.get("properties"), dict):
        root["properties"] = {name: value for name, value in properties.items() if name not in _FACTS}
    result = {keyword: value for keyword, value in schema.items() if keyword not in _ROOT_ONLY}
    return root | {"anyOf": [result, _REFUSAL_SCHEMA]}


def _is_included(price: Price, entitlements: Entitlements) -> bool:
    features = [entitlements.features.get(name) for name in (price.feature, price.rate) if name is not None]
    return entitlements.active and all(feature is not None and feature.enabled for feature in features)
