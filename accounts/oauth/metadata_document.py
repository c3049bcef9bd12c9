"""Client ID Metadata Documents: a client's ID is the https address of a document that describes it.

The address comes from an unknown client, so the same restrictions apply as to outgoing webhooks: the host is resolved once, all its
addresses are checked, and the connection is made to one of them. Redirects and proxies are not followed, and size and time are limited.

Source: draft-ietf-oauth-client-id-metadata-document.
"""

import time
from typing import Any

import httpcore
import httpx
import msgspec
from allauth.core import context
from allauth.core.internal import ratelimit
from allauth.idp.oidc.internal import cimd
from allauth.idp.oidc.models import Client
from django.core.exceptions import ValidationError

from contextmcp.common import url_policy
from contextmcp.common.checked_connection import CheckedBackend

# The draft advises a limit of 5 KB.
MAX_BYTES = 5 * 1024
TOTAL_SECONDS = 5.0
_PHASE_SECONDS = {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": 2.0}
USER_AGENT = "ContextMCP-OAuth/1.0"


def fetch_client(client_id: str) -> Client:
    """Return an unsaved client with the values of its document. Raises `ValidationError` if the document cannot be read or is not valid."""
    parsed = cimd.validate_client_id(client_id)
    if not ratelimit.consume(context.request, action="cimd_fetch", app="allauth.idp.oidc", limit_get=True):
        raise ValidationError("Too many documents were requested from this address.")
    document = _fetch(client_id)
    if isinstance(document, dict) and document.get("token_endpoint_auth_method", "none") != "none":
        raise ValidationError("The client must be public: set token_endpoint_auth_method to none.")
    client: Client = cimd.validate_metadata(client_id, parsed, document)
    return client


def _fetch(address: str) -> Any:
    url = httpx.URL(address)
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    headers = {"Host": url.netloc.decode(), "User-Agent": USER_AGENT, "Accept": "application/json"}
    backend = CheckedBackend(time.monotonic() + TOTAL_SECONDS)
    try:
        with (
            httpcore.ConnectionPool(network_backend=backend, max_keepalive_connections=0) as pool,
            pool.stream("GET", target, headers=list(headers.items()), extensions={"timeout": _PHASE_SECONDS}) as response,
        ):
            if response.status != 200:
                raise ValidationError(f"The server of the document answered with status {response.status}.")
            body = b""
            for piece in response.iter_stream():
                body += piece
                if len(body) > MAX_BYTES:
                    raise ValidationError("The document is too large.")
        return msgspec.json.decode(body)
    except url_policy.AddressBlocked:
        raise ValidationError("The document is not on the public internet.") from None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError):
        raise ValidationError("The server of the document cannot be reached.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ValidationError("The document is not valid JSON.") from None
