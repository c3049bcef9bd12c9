"""Convert form-encoded parameters, as the SDK sends them, to typed values by the operation's schema; raise Stripe's 400 otherwise."""

from typing import Any
from urllib.parse import parse_qsl

from stripe_simulator.errors import Refusal, invalid

Schema = dict[str, Any]
# Stripe accepts an empty value for these, although its document does not say so.
CLEARABLE = {
    "email",
    "name",
    "phone",
    "description",
    "footer",
    "nickname",
    "default_payment_method",
    "city",
    "line1",
    "line2",
    "state",
    "postal_code",
}


def decode(text: str) -> dict[str, Any]:
    """Parse `a[b][0][c]=v` to nested dicts. Lists remain dicts with numeric keys until a schema identifies them as lists."""
    root: dict[str, Any] = {}
    for full, value in parse_qsl(text, keep_blank_values=True):
        head, _, rest = full.partition("[")
        keys = [head, *(part.rstrip("]") for part in rest.split("["))] if rest else [head]
        node = root
        for key in keys[:-1]:
            name = key or str(len(node))
            following = node.get(name)
            if not isinstance(following, dict):
                following = node[name] = {}
            node = following
        node[keys[-1] or str(len(node))] = value
    return root


def _label(path: str, key: str) -> str:
    return f"{path}[{key}]" if path else key


def unknown_parameter(name: str) -> Refusal:
    return invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")


def missing_parameter(name: str) -> Refusal:
    return invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")


def coerce(value: Any, schema: Schema, path: str) -> Any:
    if "anyOf" in schema:
        return _any(value, schema["anyOf"], path)
    kind = schema.get("type")
    if kind == "object":
        return _object(value, schema, path)
    if kind == "array":
        return _array(value, schema, path)
    if isinstance(value, dict | list):
        raise invalid(f"Invalid {kind or 'value'}: {path}", param=path)
    if kind == "integer":
        return _integer(value, path)
    if kind == "number":
        try:
            return float(value) if not str(value).lstrip("-").isdigit() else int(value)
        except ValueError:
            raise invalid(f"Invalid decimal: {value}", param=path, code="parameter_invalid_decimal") from None
    if kind == "boolean":
        if value in (True, False):
            return value
        if value not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value}", param=path, code="parameter_invalid_boolean")
        return value == "true"
    return _string(value, schema, path)


def _integer(value: Any, path: str) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise invalid(f"Invalid integer: {value}", param=path, code="parameter_invalid_integer") from None


def _string(value: Any, schema: Schema, path: str) -> Any:
    allowed = schema.get("enum")
    if allowed and value not in allowed:
        raise invalid(f"Invalid {path}: must be one of {', '.join(str(item) for item in allowed[:20])}", param=path)
    if value == "" and not allowed and path.rsplit("[", 1)[-1].rstrip("]") not in CLEARABLE:
        raise invalid(
            f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset a parameter; however '{path}' "
            f"cannot be unset. You should remove '{path}' from your request or supply a non-empty value.",
            param=path,
            code="parameter_invalid_empty",
        )
    limit = schema.get("maxLength")
    if limit and len(str(value)) > limit:
        raise invalid(f"Invalid string: {path} must be at most {limit} characters", param=path, code="parameter_invalid_string")
    return value


def _object(value: Any, schema: Schema, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid("Invalid object", param=path)
    fields: dict[str, Schema] = schema.get("properties", {})
    extra = schema.get("additionalProperties")
    out: dict[str, Any] = {}
    for key, item in value.items():
        label = _label(path, key)
        if key in fields:
            out[key] = coerce(item, fields[key], label)
        elif fields or extra is False:
            raise unknown_parameter(label)
        elif isinstance(extra, dict) and extra.get("type") == "string":
            out[key] = str(item)  # metadata: an empty value removes the key
        else:
            out[key] = coerce(item, extra, label) if isinstance(extra, dict) else item
    for key in schema.get("required", []):
        if key not in out:
            raise missing_parameter(_label(path, key))
    return out


def _array(value: Any, schema: Schema, path: str) -> list[Any]:
    if isinstance(value, dict) and all(key.isdigit() for key in value):
        value = [value[key] for key in sorted(value, key=int)]
    if not isinstance(value, list):
        raise invalid("Invalid array", param=path)
    return [coerce(item, schema["items"], f"{path}[{number}]") for number, item in enumerate(value)]


def _any(value: Any, choices: list[Schema], path: str) -> Any:
    first: Refusal | None = None
    for choice in choices:
        try:
            return coerce(value, choice, path)
        except Refusal as refusal:
            # Report the error of the alternative that matched most of the value.
            if first is None or len(refusal.param or "") > len(first.param or ""):
                first = refusal
    raise first or invalid(f"Invalid value: {path}", param=path)
