"""Validate every request and response against Stripe's document with jsonschema_rs. This module creates nothing."""

import functools
from collections.abc import Iterator
from typing import Any

import jsonschema_rs

from stripe_simulator.routes import spec


@functools.cache
def _registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([("urn:stripe", {"components": {"schemas": spec.document()["checked"]}})])


@functools.cache
def _object_validator(name: str) -> Any:
    escaped = name.replace("~", "~0").replace("/", "~1")
    return jsonschema_rs.Draft202012Validator({"$ref": f"urn:stripe#/components/schemas/{escaped}"}, registry=_registry())


@functools.cache
def _operation_validator(method: str, path: str, part: str) -> Any:
    operation = spec.document()["paths"][path][method]
    if part == "request":
        content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
        body: dict[str, Any] = next(iter(content.values()), {})
        body_schema = body.get("schema", {})
        return jsonschema_rs.Draft202012Validator(_rebase(spec.strict(body_schema, closed=False)), registry=_registry())
    if part == "query":
        fields = {p["name"]: p["schema"] for p in operation.get("parameters", []) if p["in"] == "query"}
        query_schema = {"type": "object", "properties": fields, "additionalProperties": False}
        return jsonschema_rs.Draft202012Validator(_rebase(spec.strict(query_schema, closed=False)), registry=_registry())
    body_schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator(_rebase(spec.strict(body_schema)), registry=_registry())


def _rebase(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: ("urn:stripe" + value if key == "$ref" else _rebase(value)) for key, value in node.items()}
    if isinstance(node, list):
        return [_rebase(item) for item in node]
    return node


def _errors(validator: Any, value: Any, limit: int = 4) -> Iterator[str]:
    if validator.is_valid(value):
        return
    for number, error in enumerate(validator.iter_errors(value)):
        if number == limit:
            return
        where = ".".join(str(part) for part in error.instance_path) or "(top)"
        yield f"{where}: {error.message[:400]}"


def object_errors(value: dict[str, Any]) -> list[str]:
    """Validate one object against the schema that its `object` names. Nested objects come first, because their messages are shorter."""
    name = str(value.get("object"))
    deleted = value.get("deleted") is True and f"deleted_{name}" in spec.document()["schemas"]
    known = f"deleted_{name}" if deleted else spec.schema_of_object().get(name)
    if known is None:
        return [f"object: the OpenAPI specification defines no object type {name!r}"]
    validator = _object_validator(known)
    if validator.is_valid(value):
        return []
    inner = [message for child in _children(value) for message in object_errors(child)]
    return inner or list(_errors(validator, value))


def _children(value: Any) -> Iterator[dict[str, Any]]:
    nested = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in nested:
        if isinstance(item, dict) and item.get("object") in spec.schema_of_object() and "id" in item:
            yield item
        else:
            yield from _children(item)


def response_errors(method: str, path: str, body: Any) -> list[str]:
    validator = _operation_validator(method, path, "response")
    if validator.is_valid(body):
        return []
    inner = [message for child in _children({"": body}) for message in object_errors(child)]
    return inner or list(_errors(validator, body))


def request_errors(method: str, path: str, body: dict[str, Any], query: dict[str, Any]) -> list[str]:
    errors = list(_errors(_operation_validator(method, path, "query"), query))
    return errors + list(_errors(_operation_validator(method, path, "request"), body))
