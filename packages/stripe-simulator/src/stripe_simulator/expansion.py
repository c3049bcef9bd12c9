"""Which paths `expand` can follow: this depends only on Stripe's document, not on the data of a response."""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from stripe_simulator.errors import Refusal, invalid
from stripe_simulator.routes import spec

MAX_LEVELS = 4


def check(method: str, path: str, expand: Iterable[str]) -> None:
    """Refuse what Stripe refuses: a path that is too deep, or a property that the document does not mark as expandable."""
    schema = _response_schema(method, path)
    for property_path in expand:
        steps = tuple(property_path.split("."))
        if len(steps) > MAX_LEVELS:
            raise invalid(f"You cannot expand more than {MAX_LEVELS} levels of a property. Property: {property_path}", "expand")
        if not _follows(schema, steps):
            raise _refusal(property_path, is_list=_is_list(schema) and steps[0] != "data")


def _refusal(property_path: str, is_list: bool) -> Refusal:
    hint = f" You may want to try expanding 'data.{property_path}' instead." if is_list else ""
    return invalid(f"This property cannot be expanded ({property_path}).{hint}", "expand")


@functools.cache
def _response_schema(method: str, path: str) -> Any:
    content = spec.document()["paths"][path][method]["responses"]["200"]["content"]
    return content["application/json"]["schema"]


def _choices(schema: Any) -> Iterator[Any]:
    """Yield the object schemas that a value can have."""
    if "$ref" in schema:
        yield from _choices(spec.schema(schema["$ref"].rsplit("/", 1)[1]))
    elif "anyOf" in schema:
        for choice in schema["anyOf"]:
            yield from _choices(choice)
    elif schema.get("type") == "array":
        yield from _choices(schema["items"])
    elif schema.get("type") == "object":
        yield schema


def _is_list(schema: Any) -> bool:
    return any("data" in each.get("properties", {}) and "has_more" in each["properties"] for each in _choices(schema))


def _follows(schema: Any, steps: tuple[str, ...]) -> bool:
    if not steps:
        return True
    step, rest = steps[0], steps[1:]
    for each in _choices(schema):
        properties = each.get("properties", {})
        in_list = step == "data" and "has_more" in properties
        if step in properties and (in_list or step in (each.get("x-expandableFields") or ())) and _follows(properties[step], rest):
            return True
    return False
