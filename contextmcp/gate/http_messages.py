"""The requests and responses of the gate's HTTP server."""

from enum import Enum

from msgspec import Struct

from contextmcp.common.errors import DomainError

Headers = list[tuple[str, str]]
# Most responses have exactly these headers. The connection recognizes this list object and sends prepared bytes.
JSON_HEADERS: Headers = [("content-type", "application/json")]


class ClientTrust(Enum):
    """The trust in a caller before the body is read. The value is the maximum size in bytes of all requests with this trust."""

    # This process has verified the caller's key.
    VERIFIED = 256 * 1024 * 1024
    # The key is well-formed but not verified, or the headers are not complete.
    UNVERIFIED = 64 * 1024 * 1024
    # The request will be refused whatever its body contains, so only the headers are stored.
    REFUSED = 16 * 1024 * 1024


class HttpRequest(Struct):
    """A complete request, or a request that is refused because of its headers."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    query: str = ""
    keep_alive: bool = True
    # The error in the request line or headers, if any.
    refusal: DomainError | None = None
    http_1_0: bool = False
    # The digest of the credential, if an earlier request or this one verified it. The validity of the key must still be checked for each
    # request.
    credential_digest: bytes | None = None
    # The application sets these: whether the credential is verified, and the identifier in the response.
    verified: bool = False
    request_id: str = ""


class HttpResponse(Struct):
    status: int
    headers: Headers
    body: bytes
