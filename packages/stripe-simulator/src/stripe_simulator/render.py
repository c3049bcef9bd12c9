"""Turn stored objects into responses: drop private keys, fill in embedded objects, follow `expand`."""

from collections.abc import Callable, Iterable
from typing import Any

from stripe_simulator.routes import spec
from stripe_simulator.types import Obj, deep_copy
from stripe_simulator.unit_of_work import Unit

Hook = Callable[[Unit, Obj, Obj], None]
Include = Callable[[Unit, Obj], Any]
EMBEDS: dict[str, Hook] = {}
INCLUDES: dict[tuple[str, str], Include] = {}


def embeds(kind: str) -> Callable[[Hook], Hook]:
    """Register `hook(unit, stored, rendered)`, which fills in what an object of this kind embeds."""

    def register(hook: Hook) -> Hook:
        EMBEDS[kind] = hook
        return hook

    return register


def includes(kind: str, name: str) -> Callable[[Include], Include]:
    """Register the function that computes a property which Stripe returns only when it is expanded."""

    def register(hook: Include) -> Include:
        INCLUDES[kind, name] = hook
        return hook

    return register


def view(unit: Unit, obj: Obj) -> Obj:
    rendered: Obj = deep_copy({key: value for key, value in obj.items() if not key.startswith("_")})
    if obj.get("deleted"):
        rendered.pop("created", None)
        return rendered
    for kind, name in INCLUDES:
        if kind == obj["object"]:
            rendered.pop(name, None)
    if hook := EMBEDS.get(obj["object"]):
        hook(unit, obj, rendered)
    return rendered


def render(unit: Unit, result: Obj, expand: Iterable[str]) -> Obj:
    """Return the result of a handler (a stored object, or a list of them) as Stripe would return it."""
    if result.get("object") == "list" and "_listed" in result:
        rendered = {key: value for key, value in result.items() if key != "_listed"}
        rendered["data"] = [view(unit, item) for item in result["_listed"]]
    elif "_shown" in result:
        rendered = result["_shown"]
    else:
        rendered = view(unit, result)
    for path in expand:
        _expand(unit, rendered, path.split("."), rendered, "")
    return rendered


def already_rendered(value: Obj) -> Obj:
    """Mark a value that is already rendered."""
    return {"object": value.get("object"), "_shown": value}


def _expand(unit: Unit, node: Any, steps: list[str], owner: Obj, trail: str) -> None:
    """Follow one path that `expansion.check` allowed.

    `owner` is the object that contains `node`, `trail` the path between them. Some properties are computed from both.
    """
    if isinstance(node, list):
        for item in node:
            _expand(unit, item, steps, owner, trail)
        return
    if not isinstance(node, dict) or not steps:
        return
    if "object" in node:
        owner, trail = node, ""
    step, rest = steps[0], steps[1:]
    if step not in node:
        key = (str(owner.get("object")), f"{trail}{step}")
        if key in INCLUDES:
            found_there = INCLUDES[key](unit, unit.get(owner.get("id", "")) or owner)
            if found_there is not None or _nullable(*key):
                node[step] = found_there
    value = node.get(step)
    if isinstance(value, str):
        if obj := unit.get(value):
            node[step] = view(unit, obj)
    elif isinstance(value, list):
        node[step] = [_expanded(unit, item) for item in value]
    _expand(unit, node.get(step), rest, owner, f"{trail}{step}.")


def _expanded(unit: Unit, item: Any) -> Any:
    obj = unit.get(item) if isinstance(item, str) else None
    return view(unit, obj) if obj else item


def _nullable(kind: str, name: str) -> bool:
    properties = spec.schema(spec.schema_of_object()[kind])["properties"]
    return bool(properties.get(name, {}).get("nullable"))
