"""Checks of requests that the web server and the gate share. They refuse requests that a proxy and this server could read differently."""

from collections.abc import Iterable

from .errors import NotFound, UnreadableRequest, UnsupportedMediaType, ValidationFailed

# If one of these is repeated, a proxy and this server may each use a different value (request smuggling).
SINGLE_HEADERS = frozenset(["host", "authorization", "content-type", "content-length", "idempotency-key", "stripe-signature"])


def check_idempotency_key(key: str | None) -> str | None:
    """Return the value of the `Idempotency-Key` header, or None without one. Raises `ValidationFailed` if it is malformed."""
    if key is not None and not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise ValidationFailed.of_field("Idempotency-Key", "Enter 1 to 255 printable ASCII characters.")
    return key


def combine_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers by lower-case name, decoded as Latin-1, with repeated headers joined (RFC 9110, 5.3).

    Raises:
        UnreadableRequest: a header that may be sent only once is repeated.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name in headers:
            add_repeated_header(headers, name, value)
        else:
            headers[name] = value
    return headers


def add_repeated_header(headers: dict[str, str], name: str, value: str) -> None:
    """Append another value of a header to the one in `headers` (RFC 9110, 5.3). `name` is in lower case.

    Raises:
        UnreadableRequest: the header may be sent only once.
    """
    if name in SINGLE_HEADERS:
        raise UnreadableRequest(f"The header {name} may be sent only once.")
    headers[name] += ("; " if name == "cookie" else ",") + value


def check_request(raw_path: bytes, headers: dict[str, str]) -> None:
    """Raise an error for an ambiguous or unreadable request: no Host, an encoded body or an encoded slash."""
    if not headers.get("host"):
        raise UnreadableRequest("The request needs a Host header.")
    length = headers.get("content-length")
    # The only decimal digits in Latin-1 are those of ASCII.
    if length is not None and not length.isdecimal():
        raise UnreadableRequest("Content-Length is not a number.")
    if "content-encoding" in headers and headers["content-encoding"].strip().lower() not in ("identity", ""):
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    if b"%" in raw_path and b"%2f" in raw_path.lower():
        # No URL of this project contains an encoded slash. Decoding it could bypass a proxy's rules for the resulting path.
        raise NotFound
