"""The addresses of the MCP servers to which access tokens are bound (RFC 8707, RFC 9728).

MCP_SERVER_URL is the address of all servers behind the gateway, and MCP_SERVER_URL/<name> is the address of one server.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings

METADATA_PATH = "/.well-known/oauth-protected-resource"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Default ports, which clients may omit from or include in a URI (RFC 3986, 6.2.3).
_DEFAULT_PORTS = {"http": 80, "https": 443}


def server_address(name: str = "") -> str:
    """Return the address of the server with this name, or of all servers."""
    base = normalize(settings.MCP_SERVER_URL)
    return f"{base}/{name}" if name else base


def normalize(uri: str) -> str:
    """Return the URI with its scheme and host in lowercase and without a default port or a slash at its end. Raises `ValueError`."""
    parts = urlsplit(uri)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return urlunsplit((parts.scheme, f"{host}{port}", parts.path.rstrip("/"), parts.query, parts.fragment))


def find_server_addresses(uris: Iterable[str]) -> list[str] | None:
    """Return the normalized, distinct URIs, or None if one of them is not the address of an MCP server.

    Without URIs, return the address of all servers, because this deployment protects no other resource.
    """
    base, found = server_address(), []
    for uri in uris:
        try:
            address = normalize(uri)
        except ValueError:
            return None
        if address != base and not (address.startswith(f"{base}/") and _NAME.fullmatch(address[len(base) + 1 :])):
            return None
        found.append(address)
    return list(dict.fromkeys(found)) or [base]


def covers(granted: Iterable[str], name: str) -> bool:
    """Return whether the server with this name accepts a token that is bound to the `granted` addresses."""
    return not {server_address(), server_address(name)}.isdisjoint(granted)


def is_within(requested: Iterable[str], granted: Iterable[str]) -> bool:
    """Return whether a grant for the `granted` addresses includes all requested ones."""
    known = set(granted)
    return server_address() in known or known.issuperset(requested)


def metadata_url(path: str) -> str:
    """Return the URL of the metadata document for the server at `path` of the gateway (RFC 9728, 3.1)."""
    parts = urlsplit(settings.MCP_SERVER_URL)
    return f"{parts.scheme}://{parts.netloc}{METADATA_PATH}{path}"
