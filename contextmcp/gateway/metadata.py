"""Documents that the gateway publishes for clients and upstream servers, without authentication and for any origin.

- Protected resource metadata (RFC 9728): where clients of an MCP server sign their users in.
- The keys that verify the assertions for upstream servers (RFC 7517).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec
from django.conf import settings

from accounts.oauth import resources
from contextmcp.common import signing
from contextmcp.common.errors import MethodNotAllowed

MAX_AGE_SECONDS = 300
# Browsers send a preflight request (OPTIONS) before a request with an MCP header.
METHODS = ("GET", "HEAD", "OPTIONS")
HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"public, max-age=%d" % MAX_AGE_SECONDS),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET"),
    (b"access-control-allow-headers", b"MCP-Protocol-Version"),
)


class Metadata:
    """The documents of one process by path. `mcp_path` is the path of all servers, and `names` are the names of the servers."""

    def __init__(self, mcp_path: str, names: Iterable[str], scope: str) -> None:
        self._mcp_path, self._documents = mcp_path, {f"/{signing.JWKS_PATH}": msgspec.json.encode(signing.jwks())}
        if not settings.OAUTH_ENABLED:
            return
        # A proxy in front may publish the gateway's path under another one.
        prefixes = {mcp_path, urlsplit(resources.server_address()).path}
        for name in ("", *names):
            document = {
                "resource": resources.server_address(name),
                "authorization_servers": [settings.PUBLIC_URL],
                "scopes_supported": [scope],
                "bearer_methods_supported": ["header"],
                "resource_name": f"{settings.PRODUCT_NAME} {name}".strip(),
            }
            paths = [f"{prefix}/{name}" for prefix in prefixes] if name else [*prefixes, ""]
            self._documents |= {f"{resources.METADATA_PATH}{path}": msgspec.json.encode(document) for path in paths}

    def answer(self, method: str, path: str) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
        """Return the headers and the document at a path, or None if there is none. Raises `MethodNotAllowed`."""
        document = self._documents.get(path)
        if document is None:
            return None
        if method not in METHODS:
            raise MethodNotAllowed(*METHODS)
        return list(HEADERS), document if method == "GET" else b""

    def challenge_parameter(self, path: str) -> str | None:
        """Return the parameter of a challenge that leads to the metadata of the server at `path`, or None without OAuth (RFC 9728, 5.1)."""
        if not settings.OAUTH_ENABLED:
            return None
        address = resources.server_address(path.removeprefix(self._mcp_path).strip("/"))
        return f'resource_metadata="{resources.metadata_url(urlsplit(address).path)}"'
