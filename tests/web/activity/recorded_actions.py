"""Collect the actions that the source code writes to the audit log."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("accounts", "entitlements", "usage", "billing", "contextmcp")
ACTION = re.compile(r"[a-z_]+\.[a-z_]+")
# The name of the kind is the second argument; the action is `billing.` and the kind.
KINDS = {"idempotent_action", "start_action"}
# Their actions are the kinds of `KINDS`, and the reasons of the refund policy.
COMPOSED: dict[str, set[str]] = {
    "billing/idempotent_actions.py": set(),
    "billing/staff_actions/execute.py": {
        "billing.refund",
        "billing.credit",
        "billing.discount",
        "billing.end_discounts",
        "billing.free_days",
        "billing.pause_collection",
        "billing.resume_collection",
    },
    "billing/subscriptions/bulk_migration.py": {"plan_migration.started", "plan_migration.stopped", "plan_migration.resumed"},
    "billing/subscriptions/forced_cancellation.py": {"billing.dispute_lost", "billing.refunded"},
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts and "devstack" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def recorded_actions() -> dict[str, str]:
    """Return each action with the place that records it. Fails for a call whose action cannot be read from the source."""
    actions: dict[str, str] = {}
    for name, module in sources():
        constants = {
            target.id: node.value.value
            for node in module.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for function in [module, *(node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))]:
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                for action in _actions(name, function, call, constants):
                    actions.setdefault(action, f"{name}:{call.lineno}")
    return actions


def _actions(name: str, function: ast.AST, call: ast.Call, constants: dict[str, object]) -> set[str]:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    if called in KINDS and len(call.args) > 1:
        kind = call.args[1]
        text = kind.value if isinstance(kind, ast.Constant) else constants.get(kind.id) if isinstance(kind, ast.Name) else None
        return {f"billing.{text}"} if text else set()
    if called == "AuditEntry" and len(call.args) > 2:
        return _read(name, function, call.args[2])
    is_record = called == "_record" or (called == "record" and any(each.arg == "actor" for each in call.keywords))
    return _read(name, function, call.args[0]) if is_record and call.args else set()


def _read(name: str, function: ast.AST, argument: ast.expr) -> set[str]:
    if isinstance(argument, ast.JoinedStr):
        assert name in COMPOSED, f"{name}:{argument.lineno} composes the name of an action. Add its values to COMPOSED."
        return COMPOSED[name]
    values = [argument]
    if isinstance(argument, ast.Name):
        # A variable of the function. A parameter has no value here; its callers are read as well.
        values = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and argument.id in {target.id for target in node.targets if isinstance(target, ast.Name)}
        ]
    texts = {node.value for value in values for node in ast.walk(value) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and ACTION.fullmatch(text)}


def files_that_insert() -> set[str]:
    """Return the files with SQL that writes to the table directly."""
    places = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {str(path.relative_to(ROOT)) for path in places if "INSERT INTO accounts_auditevent" in path.read_text()}
