"""The requests and responses of the gate's HTTP server."""

from enum import Enum

from msgspec import Struct

from contextmcp.common.errors import DomainError

Headers = list[tuple[str, str]]
# Most answers have exactly these headers. The connection recognizes the list itself and then sends bytes that were made before.
JSON_HEADERS: Headers = [("content-type", "application/json")]


class ClientTrust(Enum):
    """How far a caller is trusted before its body is read. The value is the most bytes that all requests of that trust may occupy."""

    # Its key was verified by this process.
    VERIFIED = 256 * 1024 * 1024
    # Its key is well-formed, or its headers are not complete.
    UNVERIFIED = 64 * 1024 * 1024
    # It will be refused whatever its body says, so only its headers are kept.
    REFUSED = 16 * 1024 * 1024


class HttpRequest(Struct):
    """A complete request, or one that is refused because of its headers."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    query: str = ""
    keep_alive: bool = True
    # The error that its request line and headers cause, if any.
    refusal: DomainError | None = None
    http_1_0: bool = False
    # The digest of the credential, if it was verified before this request or by it. It proves nothing by itself: whether the key is still
    # good has to be checked for each request.
    credential_digest: bytes | None = None
    # The application sets this when the credential is verified, and the identifier that the answer carries.
    verified: bool = False
    request_id: str = ""


class HttpResponse(Struct):
    status: int
    headers: Headers
    body: bytes
