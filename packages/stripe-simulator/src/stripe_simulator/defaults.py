"""Create objects with every property that Stripe's document requires, so that a resource sets only the ones it changes."""

import functools
from typing import Any

from stripe_simulator.errors import invalid
from stripe_simulator.parameters import read_all
from stripe_simulator.routes import spec
from stripe_simulator.types import Obj, deep_copy, dump_json, load_json

# Stripe's limits on metadata, from its API reference. The OpenAPI document does not contain them.
MAX_KEYS, MAX_KEY_LENGTH, MAX_VALUE_LENGTH = 50, 40, 500


def _default(schema: dict[str, Any]) -> Any:
    if schema.get("nullable"):
        return None
    if "$ref" in schema:
        return load_json(_template(schema["$ref"].rsplit("/", 1)[1]))
    if "anyOf" in schema:
        return _default(schema["anyOf"][0])
    kind = schema.get("type")
    if kind == "string":
        return schema["enum"][0] if "enum" in schema else ""
    if kind == "object":
        return _skeleton(schema)
    return {"array": list, "boolean": bool, "integer": int, "number": int}.get(str(kind), dict)()


def _skeleton(schema: dict[str, Any]) -> Obj:
    required = set(schema.get("required", ()))
    fields = schema.get("properties", {})
    return {name: _default(field) for name, field in fields.items() if name in required or field.get("nullable")}


@functools.cache
def _template(name: str) -> str:
    return dump_json(_skeleton(spec.schema(name)))


def new_object(name: str, /, **values: Any) -> Obj:
    """Return an object of the schema `name`: nullable properties are null, required ones have a default, `values` override both."""
    obj: Obj = load_json(_template(name))
    obj.update(deep_copy(values))
    return obj


def merge_metadata(obj: Obj, changes: Any) -> None:
    """Merge metadata as Stripe does: keys are added or replaced, an empty value removes its key, an empty string removes all keys."""
    if changes is None:
        return
    merged = {} if changes == "" else {**(obj.get("metadata") or {}), **read_all(changes)}
    obj["metadata"] = {key: value for key, value in merged.items() if value != ""}
    _check_metadata(obj["metadata"])


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > MAX_KEYS:
        raise invalid(f"You can have at most {MAX_KEYS} metadata keys.", "metadata")
    for key, value in metadata.items():
        if len(key) > MAX_KEY_LENGTH:
            message = f"Metadata keys can have up to {MAX_KEY_LENGTH} characters, but you passed in a key that is {len(key)} characters."
            raise invalid(message, "metadata")
        if len(value) > MAX_VALUE_LENGTH:
            message = f"Metadata values can have up to {MAX_VALUE_LENGTH} characters, but you passed in a value that is {len(value)}."
            raise invalid(message, f"metadata[{key}]")


def address(value: Any) -> Obj | None:
    return None if not value else new_object("address", **read_all(value))


ISSUER_SELF = {"type": "self"}
NO_TAX: Obj = {"disabled_reason": None, "enabled": False, "liability": None}
