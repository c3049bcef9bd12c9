"""Generate the table of what is simulated from the registered operations and the events that the code emits."""

import ast
import re
from collections import defaultdict
from importlib.resources import files
from importlib.resources.abc import Traversable

from stripe_simulator import resources
from stripe_simulator.routes import match, spec

__all__ = ["events", "operations", "resources", "table"]
BEGIN, END = "<!-- coverage: `stripe-simulator --coverage` -->", "<!-- end of coverage -->"
# Event types whose first part differs from the resource's name in the path.
_RESOURCES = {
    "charge.dispute": "disputes",
    "charge.refund": "refunds",
    "customer.subscription": "subscriptions",
    "invoice_payment": "invoices",
    "checkout.session": "checkout",
    "billing_portal.configuration": "billing_portal",
    "billing_portal.session": "billing_portal",
    "test_helpers.test_clock": "test_helpers",
}


def operations() -> dict[str, list[str]]:
    """Return the simulated operations, by the first part of their path."""
    by_resource: dict[str, list[str]] = defaultdict(list)
    for method, path in sorted(match.HANDLERS, key=lambda each: (each[1], each[0])):
        by_resource[path.split("/")[2]].append(f"{method.upper()} {path}")
    return dict(by_resource)


def events() -> dict[str, list[str]]:
    """Return the types of the events that the code emits, by the same names."""
    known = _event_types(spec.document()["paths"]["/v1/webhook_endpoints"]["post"])
    by_resource: dict[str, set[str]] = defaultdict(set)
    for module in _modules(files("stripe_simulator")):
        for node in ast.walk(ast.parse(module.read_text())):
            for event in _named(node, known):
                by_resource[_resource(event)].add(event)
                # `events.updated` emits this type for every kind of object.
                if (updated := f"{event.rpartition('.')[0]}.updated") in known:
                    by_resource[_resource(updated)].add(updated)
    return {name: sorted(types) for name, types in by_resource.items()}


def table() -> str:
    """Return the operations and events as a Markdown table with one row per resource."""
    simulated, emitted = operations(), events()
    lines = ["| resource | operations | events |", "|---|---|---|"]
    for name in sorted(simulated.keys() | emitted.keys()):
        cells = ("<br>".join(f"`{each}`" for each in by_resource.get(name, ())) or "-" for by_resource in (simulated, emitted))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _modules(folder: Traversable) -> list[Traversable]:
    modules: list[Traversable] = []
    for each in sorted(folder.iterdir(), key=lambda one: one.name):
        if each.is_dir():
            modules += _modules(each)
        elif each.name.endswith(".py") and each.name != "coverage.py":
            modules.append(each)
    return modules


def _event_types(node: object) -> set[str]:
    """Return every event type in a part of the document: the values of the list that contains `customer.created`."""
    if isinstance(node, dict):
        values = node.get("enum")
        if isinstance(values, list) and "customer.created" in values:
            return {str(value) for value in values if value != "*"}
        return set().union(*map(_event_types, node.values()))
    return set().union(*map(_event_types, node)) if isinstance(node, list) else set()


def _named(node: ast.AST, known: set[str]) -> list[str]:
    """Return the event types that a string, or an f-string that begins with text, can produce."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value] if node.value in known else []
    if not isinstance(node, ast.JoinedStr) or not isinstance(node.values[0], ast.Constant) or "." not in str(node.values[0].value):
        return []
    parts = [re.escape(str(each.value)) if isinstance(each, ast.Constant) else "[a-z_]+" for each in node.values]
    return [event for event in known if re.fullmatch("".join(parts), event)]


def _resource(event: str) -> str:
    for prefix, resource in _RESOURCES.items():
        if event.startswith(f"{prefix}."):
            return resource
    return f"{event.partition('.')[0]}s"
