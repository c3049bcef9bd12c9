"""The MCP server behind the stack's gateway, and its prices: the example server, or a configured one."""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from contextmcp.devstack.ports import Claims
from contextmcp.devstack.postgres import ServiceError
from contextmcp.devstack.services import REPOSITORY

NOTES_PORT = 3600
EXAMPLE = REPOSITORY / "examples" / "mcp_server"
# The pricing file for any other server: all tools are free.
FREE = """
[servers.upstream]
url = "http://127.0.0.1:9000/mcp"
default = "free"
"""
# The pricing file for the example server with a catalog other than the default one, whose features examples/mcp_server/pricing.toml names.
ONE_QUOTA = """
[servers.notes]
url = "http://127.0.0.1:9000/mcp"
default = {{ feature = "{quota}" }}

[servers.notes.tools]
list_notes = "free"
add_note = "free"
"""


class McpUpstream(NamedTuple):
    """The environment of the gateway, and the port of the example server, or None if another server is named."""

    environment: dict[str, str]
    notes_port: int | None


def choose(home: Path, claims: Claims, named: Mapping[str, str]) -> McpUpstream:
    """Return the server that `MCP_UPSTREAM` or `MCP_PRICING_FILE` configures, otherwise the example server.

    `MCP_PRICING` is a pricing file for one server, whose `url` is not used.
    """
    pricing = Path(named["MCP_PRICING"]).resolve() if "MCP_PRICING" in named else None
    if upstream := named.get("MCP_UPSTREAM"):
        return McpUpstream(_environment(pricing or _write(home, FREE), upstream), None)
    if pricing is None and "MCP_PRICING_FILE" in named:
        return McpUpstream({}, None)
    port = claims.first_free(NOTES_PORT)
    return McpUpstream(_environment(pricing or _example_prices(home, named), f"http://127.0.0.1:{port}/mcp"), port)


def require_reachable(url: str) -> None:
    """Raise `ServiceError` if nothing listens at the MCP server's URL."""
    try:
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        socket.create_connection(address, timeout=5).close()
    except (OSError, ValueError) as error:
        raise ServiceError(f"MCP_UPSTREAM: no server responds at {url} ({error}). Start your MCP server first, then this demo.") from None


def _environment(pricing: Path, upstream: str) -> dict[str, str]:
    return {"MCP_PRICING_FILE": str(pricing), "MCP_UPSTREAM_URL": upstream}


def _example_prices(home: Path, named: Mapping[str, str]) -> Path:
    if "CATALOG_FILE" not in named:
        return EXAMPLE / "pricing.toml"
    quota = _first_quota(REPOSITORY / named["CATALOG_FILE"])
    return _write(home, ONE_QUOTA.format(quota=quota) if quota else FREE)


def _first_quota(catalog: Path) -> str | None:
    """Return the first quota that the first plan limits. A faulty catalog is reported by the processes that need it."""
    try:
        payload = tomllib.loads(catalog.read_text())
        quotas = [feature["name"] for feature in payload["features"] if feature["kind"] == "quota"]
        limits = payload["plans"][0]["features"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return next((quota for quota in quotas if isinstance(limits.get(quota), int | dict)), None)


def _write(home: Path, text: str) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    path = home / "mcp_pricing.toml"
    path.write_text(text.lstrip())
    return path
