"""Find OAuth clients (rows of `allauth.idp.oidc`), read their metadata documents, and check their redirect addresses."""

import hashlib
import hmac
import logging
import re
from urllib.parse import SplitResult, urlsplit

from allauth.idp.oidc.internal import cimd
from allauth.idp.oidc.models import Client
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction

from contextmcp.common.url_policy import is_public_hostname

from . import metadata_document

log = logging.getLogger(__name__)
MAX_ID_LENGTH = 100
# The key of the secret's digest in `Client.data`.
SECRET_DIGEST = "secret_digest"  # noqa: S105 - a name
MAX_URI_LENGTH = 2000
_LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
# Schemes of installed apps, such as "cursor" or "com.example.app" (RFC 8252, 7.1). Browsers handle the schemes in _BROWSER_SCHEMES
# themselves or treat them specially, so they are not allowed.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,60}")
_BROWSER_SCHEMES = frozenset(
    {
        "about",
        "blob",
        "chrome",
        "data",
        "file",
        "filesystem",
        "ftp",
        "http",
        "https",
        "intent",
        "javascript",
        "jar",
        "mailto",
        "resource",
        "tel",
    }
    | {"vbscript", "view-source", "ws", "wss"}
)


def find_client(client_id: str) -> Client | None:
    """Return the client that is stored under this ID, or None."""
    if not _is_valid_id(client_id):
        return None
    client: Client | None = Client.objects.filter(pk=client_id).first()
    return client


def store_secret(client: Client, secret: str) -> None:
    """Store the SHA-256 digest of a client's secret, which has 256 random bits.

    A password hash takes half a second, and any client could make this server compute it with each request for a token.
    """
    client.data = {**(client.data or {}), SECRET_DIGEST: hashlib.sha256(secret.encode()).hexdigest()}
    client.secret = make_password(None)
    client.save(update_fields=["data", "secret"])


def has_secret(client: Client, secret: str) -> bool:
    """Return whether this is the client's secret, compared in constant time."""
    stored = (client.data or {}).get(SECRET_DIGEST, "")
    return hmac.compare_digest(stored, hashlib.sha256(secret.encode(errors="replace")).hexdigest())


def may_exist(client_id: str) -> bool:
    """Return whether a client is stored under this ID, or a metadata document may be read there."""
    return _is_valid_id(client_id) and (cimd.is_cimd_url(client_id) or find_client(client_id) is not None)


def read_client(client_id: str) -> Client | None:
    """Return the client. If its ID is the address of a metadata document that is not stored or outdated, fetch the document first.

    It may wait for the server of the document. If that fails, the stored client is returned.
    """
    client = find_client(client_id)
    if not _is_valid_id(client_id) or not cimd.is_cimd_url(client_id) or (client is not None and not cimd.is_outdated(client)):
        return client
    try:
        current = metadata_document.fetch_client(client_id)
        check_redirect_uris(current.get_redirect_uris())
    except ValidationError as error:
        log.warning("The metadata document of the OAuth client %s was not accepted: %s", client_id, "; ".join(error.messages))
        return client
    current.created_at = client.created_at if client is not None else current.created_at
    # An UPDATE, and an INSERT if there is no row yet.
    current._state.adding = False
    try:
        with transaction.atomic():
            current.save()
    except (DatabaseError, ValueError):
        log.warning("The metadata document of the OAuth client %s cannot be stored.", client_id)
        return client
    return current


def publisher(client_id: str) -> str:
    """Return the host of the client's metadata document, or an empty string. Only the host is verified; a client can choose any name."""
    return urlsplit(client_id).hostname or "" if cimd.is_cimd_url(client_id) else ""


def check_redirect_uris(uris: list[str]) -> None:
    """Raise `ValidationError` if one of the redirect addresses is not allowed (OAuth 2.1, 2.3; RFC 8252)."""
    for uri in uris:
        if not _is_safe_redirect(uri):
            raise ValidationError("Use https, http on a loopback address, or the scheme of an installed app, without a fragment.")


def is_registered_redirect(client: Client, uri: str) -> bool:
    """Return whether the client registered this redirect address.

    The texts must be equal, except for the port of a loopback address, because installed apps listen on any free port (RFC 8252, 7.3).
    """
    registered = client.get_redirect_uris()
    if uri in registered:
        return _is_safe_redirect(uri)
    parts = _split(uri)
    if parts is None or not _is_loopback(parts) or "@" in parts.netloc or not _is_safe_redirect(uri):
        return False
    return any(_without_port(parts) == _without_port(each) for each in map(_split, registered) if each is not None and _is_loopback(each))


def redirect_origin(uri: str) -> str:
    """Return the origin of a redirect address as a source of a content security policy: scheme and host, or the scheme of an app."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def is_document_address(client_id: str) -> bool:
    """Return whether a metadata document may be read at this address: a public host, unless private addresses are allowed."""
    host = urlsplit(client_id).hostname or ""
    return bool(settings.WEBHOOKS_ALLOW_PRIVATE or is_public_hostname(host))


def display_name(client: Client) -> str:
    """Return the client's name without characters that change how text is shown, or its host if there is none."""
    name = "".join(character for character in client.name if character.isprintable()).strip()
    return name or publisher(client.pk) or "Unnamed app"


def _is_valid_id(client_id: str) -> bool:
    return 0 < len(client_id) <= MAX_ID_LENGTH and client_id.isprintable()


def _is_safe_redirect(uri: str) -> bool:
    parts = _split(uri)
    if parts is None or parts.fragment or "#" in uri or len(uri) > MAX_URI_LENGTH or re.search(r"[\s\x00-\x1f\x7f\\]", uri):
        return False
    if parts.scheme == "https":
        return bool(parts.hostname) and "@" not in parts.netloc
    if parts.scheme == "http":
        return _is_loopback(parts) and "@" not in parts.netloc
    return _SCHEME.fullmatch(parts.scheme) is not None and parts.scheme not in _BROWSER_SCHEMES


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - raises ValueError for a malformed port
    except ValueError:
        return None
    return parts


def _is_loopback(parts: SplitResult) -> bool:
    return parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS


def _without_port(parts: SplitResult) -> tuple[str, str, str, str]:
    return parts.scheme, parts.hostname or "", parts.path, parts.query
