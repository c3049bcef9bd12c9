"""From stored objects to answers: private keys dropped, embedded objects filled in, `expand` followed."""

from collections.abc import Callable, Iterable
from typing import Any

from contextmcp.local.stripe.kinds import Obj, copied
from contextmcp.local.stripe.routes import spec
from contextmcp.local.stripe.unit import Unit

Hook = Callable[[Unit, Obj, Obj], None]
Include = Callable[[Unit, Obj], Any]
HOOKS: dict[str, Hook] = {}
INCLUDES: dict[tuple[str, str], Include] = {}


def embeds(kind: str) -> Callable[[Hook], Hook]:
    """Register `hook(unit, stored, shown)`, which fills in what an object of this kind embeds."""

    def register(hook: Hook) -> Hook:
        HOOKS[kind] = hook
        return hook

    return register


def includes(kind: str, name: str) -> Callable[[Include], Include]:
    """Register what computes a property that Stripe shows only when asked by `expand`."""

    def register(hook: Include) -> Include:
        INCLUDES[kind, name] = hook
        return hook

    return register


def view(unit: Unit, obj: Obj) -> Obj:
    shown: Obj = copied({key: value for key, value in obj.items() if not key.startswith("_")})
    if obj.get("deleted"):
        shown.pop("created", None)
        return shown
    for kind, name in INCLUDES:
        if kind == obj["object"]:
            shown.pop(name, None)
    if hook := HOOKS.get(obj["object"]):
        hook(unit, obj, shown)
    return shown


def answer(unit: Unit, result: Obj, expand: Iterable[str]) -> Obj:
    """What a handler returned (a stored object, or a list of them), as Stripe would write it."""
    if result.get("object") == "list" and "_listed" in result:
        shown = {key: value for key, value in result.items() if key != "_listed"}
        shown["data"] = [view(unit, item) for item in result["_listed"]]
    elif "_shown" in result:
        shown = result["_shown"]
    else:
        shown = view(unit, result)
    for path in expand:
        _expand(unit, shown, path.split("."), shown, "")
    return shown


def shown(value: Obj) -> Obj:
    """Mark an answer that is already as Stripe would write it."""
    return {"object": value.get("object"), "_shown": value}


def _expand(unit: Unit, node: Any, steps: list[str], owner: Obj, trail: str) -> None:
    """Follow one path that `expansion.check` allowed.

    `owner` is the object around `node`, `trail` the way from it: some properties are computed by both.
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
        if found := unit.get(value):
            node[step] = view(unit, found)
    elif isinstance(value, list):
        node[step] = [_whole(unit, item) for item in value]
    _expand(unit, node.get(step), rest, owner, f"{trail}{step}.")


def _whole(unit: Unit, item: Any) -> Any:
    found = unit.get(item) if isinstance(item, str) else None
    return view(unit, found) if found else item


def _nullable(kind: str, name: str) -> bool:
    properties = spec.schema(spec.schema_of_object()[kind])["properties"]
    return bool(properties.get(name, {}).get("nullable"))
