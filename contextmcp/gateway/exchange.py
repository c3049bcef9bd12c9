"""A message that the gateway forwards, and its headers on each side."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from accounts.types import Principal
from contextmcp.common.errors import NotFound
from contextmcp.gate.http_messages import HttpRequest
from entitlements.types import Entitlements
from usage.api import responses
from usage.decision.results import Authorized
from usage.operations.caller import UsageCaller

from . import session_binding
from .charge import Reservation, report_name
from .connection import Headers, ResponseWriter
from .messages import STATELESS_VERSION, Message, MessageId, MessageKind
from .pricing import TOOL_CALL, Server
from .upstream import UpstreamResponse

SESSION_HEADER = "mcp-session-id"
# Request headers that are forwarded to upstream servers. `Authorization` is not one of them: a client's credential is never forwarded.
_FORWARDED = frozenset({"accept", "content-type", "last-event-id", "accept-language", "user-agent", "traceparent", "tracestate"})
_FORWARDED_PREFIX = "mcp-"
_RETURNED = frozenset({b"content-type", b"cache-control", b"x-accel-buffering", b"allow", b"retry-after"})


class GatewayLimits(Struct, frozen=True):
    """The limits of one process."""

    max_body_bytes: int = 4 * 2**20
    # The maximum size of a message of a server: a JSON response, or one event of a stream.
    max_response_bytes: int = 16 * 2**20
    max_streams: int = 10_000


class ClientGone(Exception):
    """The client closed the connection."""


class Exchange(Struct):
    """A message that the gateway forwards."""

    request: HttpRequest
    response: ResponseWriter
    server: Server
    principal: Principal
    caller: UsageCaller
    message: Message | None = None
    reservation: Reservation | None = None
    # For `tools/list`.
    entitlements: Entitlements | None = None
    # The ID of the upstream server's session, before revision 2026-07-28.
    session: str = ""
    # The code of the refusal, for the metrics.
    refusal: str = ""
    # Set once the reservation is settled or released.
    is_finished: bool = False
    # Set once the response has been sent, or the exchange failed.
    is_complete: bool = False
    client_left: bool = False

    @property
    def request_id(self) -> MessageId | None:
        """Return the ID of the JSON-RPC request, if this is one."""
        return self.message.id if self.message is not None and self.message.kind is MessageKind.REQUEST else None

    @property
    def priced_tool(self) -> str:
        """Return the tool that the message calls, as the pricing file names it; empty if it calls none, or the file does not name it."""
        message = self.message
        if message is None or message.method != TOOL_CALL or message.name is None:
            return ""
        return report_name(self.server.tool_entry(message.name))

    @property
    def is_stateless(self) -> bool:
        """Return whether the client uses a revision in which closing the stream cancels the request."""
        return self.request.headers.get("mcp-protocol-version", "") >= STATELESS_VERSION


def upstream_headers(exchange: Exchange) -> Headers:
    """Return the headers for the upstream server. Raises `NotFound` for a session of another organization."""
    headers = []
    for name, value in exchange.request.headers.items():
        if name == SESSION_HEADER:
            if exchange.is_stateless:
                # Revision 2026-07-28 has no sessions and says that the header is ignored.
                continue
            session = session_binding.unbind(value, exchange.server.name, exchange.principal.organization_id)
            if session is None:
                # A client that gets 404 for its session starts a new one.
                raise NotFound
            exchange.session = session
            headers.append((SESSION_HEADER.encode(), session.encode("latin-1")))
        elif name in _FORWARDED or name.startswith(_FORWARDED_PREFIX):
            headers.append((name.encode(), value.encode("latin-1")))
    headers.append((b"x-request-id", exchange.request.request_id.encode()))
    return headers


def client_headers(exchange: Exchange, response: UpstreamResponse) -> Headers:
    """Return the headers of the response to the client, including those of the upstream server's response that are forwarded."""
    headers = [(name, value) for name, value in response.headers if name in _RETURNED]
    headers.append((b"x-request-id", exchange.request.request_id.encode()))
    if session := response.header(SESSION_HEADER.encode()):
        bound = session_binding.bind(session.decode("latin-1"), exchange.server.name, exchange.principal.organization_id)
        headers.append((SESSION_HEADER.encode(), bound.encode("latin-1")))
    if exchange.reservation is not None and exchange.reservation.authorized is not None:
        headers += _rate_headers(exchange.reservation.authorized, exchange.caller)
    return headers


def own_headers(request: HttpRequest, more: Mapping[str, str] = {}) -> Headers:
    """Return the headers of a response that the gateway creates itself."""
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", b"private, no-store"),
        (b"x-request-id", request.request_id.encode()),
    ]
    return headers + [(name.lower().encode(), value.encode("latin-1")) for name, value in more.items()]


def _rate_headers(authorized: Authorized, caller: UsageCaller) -> Headers:
    if authorized.answer is None:
        return []
    return [(name.lower().encode(), value.encode()) for name, value in responses.rate_headers(authorized.answer, caller.now()).items()]
