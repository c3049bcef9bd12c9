"""New objects with every property Stripe's document asks for, so that a resource only says what is particular to it."""

import functools
from typing import Any

from contextmcp.local.stripe.errors import invalid
from contextmcp.local.stripe.kinds import Obj, copied, read, written
from contextmcp.local.stripe.parameters import take_all
from contextmcp.local.stripe.routes import spec

# Stripe's limits on metadata, from its API reference; its OpenAPI document leaves them out.
MAX_KEYS, MAX_KEY_LENGTH, MAX_VALUE_LENGTH = 50, 40, 500


def _default(schema: dict[str, Any]) -> Any:
    if schema.get("nullable"):
        return None
    if "$ref" in schema:
        return read(_template(schema["$ref"].rsplit("/", 1)[1]))
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
    return written(_skeleton(spec.schema(name)))


def blank(name: str, /, **values: Any) -> Obj:
    """An object of the schema `name`: what may be null is null, what must be there is there, `values` on top."""
    made: Obj = read(_template(name))
    made.update(copied(values))
    return made


def merge_metadata(obj: Obj, given: Any) -> None:
    """Stripe's merge: keys are added or replaced, an empty value removes its key, an empty string removes all."""
    if given is None:
        return
    kept = {} if given == "" else {**(obj.get("metadata") or {}), **take_all(given)}
    obj["metadata"] = {key: value for key, value in kept.items() if value != ""}
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


def address(given: Any) -> Obj | None:
    return None if not given else blank("address", **take_all(given))


SELF = {"type": "self"}
NO_TAX: Obj = {"disabled_reason": None, "enabled": False, "liability": None}
