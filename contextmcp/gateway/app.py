"""The gateway as an ASGI application: authenticate, reserve, forward, stream back, settle."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from accounts.errors import InsufficientScope
from accounts.types import Principal
from contextmcp.common.errors import DomainError, MethodNotAllowed, NotFound, PayloadTooLarge
from contextmcp.common.logs import log_principal, request_id
from contextmcp.common.middleware import choose_request_id
from contextmcp.gate.authentication import Authenticator
from entitlements.types import Entitlements
from usage.api import responses
from usage.decision.results import Authorized
from usage.operations.caller import UsageCaller

from . import assertion, metadata, metrics, results, session_binding
from .charge import Charges, Driver, Reservation
from .errors import AnswerTooLarge, OriginNotAllowed, ProtocolError, ServiceKeyNotAccepted, UpstreamError
from .event_stream import EventSplitter, encode_event
from .health import Health
from .messages import INVALID_REQUEST, STATELESS_VERSION, Message, MessageId, MessageKind, check_headers, parse
from .pricing import Default, Server
from .tool_list import restrict_tools
from .upstream import Limits, UpstreamAnswer, UpstreamPool

log = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
MCP_PATH = "/mcp"
TOOL_LIST = "tools/list"
# What a credential needs for a request that costs something.
SCOPE = "usage:write"
METHODS = ("POST", "GET", "DELETE")
JSON, EVENT_STREAM = b"application/json", b"text/event-stream"
SESSION_HEADER = "mcp-session-id"
# Headers of a client that upstream servers get. `Authorization` is not among them: a client's credential is never passed on.
_FORWARDED = frozenset({"accept", "content-type", "last-event-id", "accept-language", "user-agent", "traceparent", "tracestate"})
_FORWARDED_PREFIX = "mcp-"
_RETURNED = frozenset({b"content-type", b"cache-control", b"x-accel-buffering", b"allow", b"retry-after"})


class GatewayLimits(Struct, frozen=True):
    """What one process accepts from clients."""

    max_body_bytes: int = 4 * 2**20
    # The longest message of a server that the gateway reads: a JSON answer, or one event of a stream.
    max_answer_bytes: int = 16 * 2**20
    max_streams: int = 10_000


class Request(Struct):
    """A client's request, and how to answer it."""

    method: str
    path: str
    headers: dict[str, str]
    receive: Receive
    send: Send
    id: str
    # For the metrics: "ok" or the code of the refusal.
    outcome: str = "ok"


class Exchange(Struct):
    """A message on its way through the gateway."""

    request: Request
    server: Server
    principal: Principal
    caller: UsageCaller
    message: Message | None = None
    reservation: Reservation | None = None
    # For `tools/list`.
    entitlements: Entitlements | None = None
    # Set once the reservation is settled or released.
    is_finished: bool = False
    # Set once the answer has been sent, or the exchange failed.
    is_complete: bool = False
    client_left: bool = False

    @property
    def request_id(self) -> MessageId | None:
        """Return the ID of the JSON-RPC request, if this is one."""
        return self.message.id if self.message is not None and self.message.kind is MessageKind.REQUEST else None

    @property
    def is_stateless(self) -> bool:
        """Return whether the client speaks a revision in which closing the stream cancels the request."""
        return self.request.headers.get("mcp-protocol-version", "") >= STATELESS_VERSION


class ClientGone(Exception):
    """The client closed the connection."""


class GatewayApp:
    """Serves `/mcp` for the only server, and `/mcp/<name>` for each. Create it on the event loop."""

    def __init__(
        self,
        servers: dict[str, Server],
        authenticator: Authenticator,
        driver: Driver,
        settlement_driver: Driver | None = None,
        *,
        public_url: str,
        allowed_origins: Iterable[str] = (),
        limits: GatewayLimits | None = None,
        upstream_limits: Limits | None = None,
    ) -> None:
        self._servers, self._authenticator = servers, authenticator
        self._limits = limits or GatewayLimits()
        self._charges = Charges(driver, settlement_driver)
        self._health = Health(servers)
        self._metadata = metadata.Metadata(MCP_PATH, servers, SCOPE)
        self._assertions = assertion.Assertions(self._charges.entitlements)
        self._pools = {
            name: UpstreamPool(
                server.url, upstream_limits or Limits(head_seconds=server.timeout_seconds, idle_seconds=server.timeout_seconds)
            )
            for name, server in servers.items()
        }
        public = urlsplit(public_url)
        self._origin = f"{public.scheme}://{public.netloc}"
        self._origins = {self._origin, *allowed_origins}
        self._streams = 0
        self._background: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Wait for the settlements of finished calls, and close the connections to the servers."""
        if self._background:
            await asyncio.wait(self._background, timeout=10)
        await self._charges.drain()
        for pool in self._pools.values():
            pool.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. The caller handles ASGI's lifespan."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(scope["method"], scope["path"], headers, receive, send, choose_request_id(headers.get("x-request-id", "")))
        request_id.set(request.id)
        started = time.perf_counter()
        try:
            await self._serve(request)
        except ClientGone:
            request.outcome = "client_gone"
        except ProtocolError as error:
            request.outcome = "protocol_error"
            await self._respond(request, 400, results.error_body(error.code, error.message, error.request_id))
        except DomainError as refusal:
            request.outcome = refusal.code
            await self._refuse(request, refusal)
        except Exception:
            request.outcome = "server_error"
            log.exception("the gateway failed on %s", request.path)
            with suppress(Exception):
                await self._respond(request, 500, results.error_body(-32603, "An unexpected error occurred. It has been recorded."))
        metrics.observe(request.method, request.outcome, time.perf_counter() - started)

    async def _serve(self, request: Request) -> None:
        if (answer := await self._health.answer(request.path, request.headers.get("authorization", ""))) is not None:
            fields = [(b"content-type", answer.content_type.encode()), (b"cache-control", b"private, no-store")]
            await _send_response(request, answer.status, fields, answer.body)
            return
        if (published := self._metadata.answer(request.method, request.path)) is not None:
            await _send_response(request, 200, *published)
            return
        server = self._find_server(request.path)
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise OriginNotAllowed
        if request.method not in METHODS:
            raise MethodNotAllowed(*METHODS)
        principal, _ = await self._authenticator.authenticate(request.headers.get("authorization", ""), mcp_server=server.name)
        if not isinstance(principal, Principal):
            raise ServiceKeyNotAccepted
        log_principal.set(principal)
        exchange = Exchange(request, server, principal, UsageCaller.of_principal(principal))
        body = b""
        if request.method == "POST":
            body = await self._read_body(request)
            exchange.message = parse(body)
            check_headers(exchange.message, request.headers)
        await self._forward(exchange, body)

    def _find_server(self, path: str) -> Server:
        if path == MCP_PATH and len(self._servers) == 1:
            return next(iter(self._servers.values()))
        prefix, _, name = path.rpartition("/")
        if prefix != MCP_PATH or name not in self._servers:
            raise NotFound
        return self._servers[name]

    async def _read_body(self, request: Request) -> bytes:
        pieces, length = [], 0
        while True:
            event = await request.receive()
            if event["type"] == "http.disconnect":
                raise ClientGone
            pieces.append(event.get("body", b""))
            length += len(pieces[-1])
            if length > self._limits.max_body_bytes:
                raise PayloadTooLarge
            if not event.get("more_body", False):
                return b"".join(pieces)

    async def _forward(self, exchange: Exchange, body: bytes) -> None:
        request, message = exchange.request, exchange.message
        headers = self._upstream_headers(exchange)
        if message is not None and exchange.request_id is not None:
            if message.method == TOOL_LIST:
                exchange.entitlements = await self._charges.entitlements(exchange.caller)
            if exchange.server.price_of(message.method, message.name) is not Default.FREE:
                exchange.principal.require(scope=SCOPE)
            try:
                exchange.reservation = await self._charges.reserve(exchange.caller, exchange.server, message)
            except DomainError as refusal:
                await self._deny(exchange, refusal)
                return
        watcher = asyncio.create_task(_wait_for_disconnect(request.receive))
        task = asyncio.current_task()
        assert task is not None

        def leave(_: asyncio.Task[None]) -> None:
            if watcher.cancelled() or exchange.is_complete:
                return
            exchange.client_left = True
            if exchange.is_stateless or exchange.reservation is None:
                task.cancel()
            else:
                # A client of an earlier revision may come back for the answer, so that its leaving cancels nothing.
                request.send = _discard
                self._background.add(task)
                task.add_done_callback(self._background.discard)

        watcher.add_done_callback(leave)
        try:
            await self._exchange(exchange, headers, body)
        except asyncio.CancelledError:
            if not exchange.client_left:
                raise
            task.uncancel()
        finally:
            exchange.is_complete = True
            watcher.cancel()
        if exchange.client_left:
            raise ClientGone

    async def _exchange(self, exchange: Exchange, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Forward the request and stream the answer back. The reservation is settled or released in every case."""
        try:
            charged = exchange.request.id if exchange.reservation is not None else None
            headers += await self._assertions.headers(exchange.principal, exchange.caller, exchange.server.url, charged)
            pool = self._pools[exchange.server.name]
            with await pool.send(exchange.request.method.encode(), headers, body) as answer:
                await self._relay(exchange, answer)
        except UpstreamError as error:
            self._finish(exchange, None)
            await self._fail(exchange, error)
        except asyncio.CancelledError:
            self._finish(exchange, None, cancelled=True)
            raise
        finally:
            self._finish(exchange, None)

    async def _relay(self, exchange: Exchange, answer: UpstreamAnswer) -> None:
        if answer.status >= 500 or answer.status in (301, 302, 303, 307, 308, 401, 407):
            # The gateway's own credentials, or the server, are at fault: nothing that the client could mend.
            raise UpstreamError(f"The server answered with status {answer.status}.")
        content_type = answer.header(b"content-type").split(b";")[0].strip().lower()
        headers = self._client_headers(exchange, answer)
        if content_type == EVENT_STREAM:
            await self._relay_stream(exchange, answer, headers)
        else:
            await self._relay_document(exchange, answer, headers)

    async def _relay_document(self, exchange: Exchange, answer: UpstreamAnswer, headers: list[tuple[bytes, bytes]]) -> None:
        pieces, length = [], 0
        while piece := await answer.read():
            pieces.append(piece)
            length += len(piece)
            if length > self._limits.max_answer_bytes:
                raise AnswerTooLarge("The server's answer is too large.")
        document = b"".join(pieces)
        if exchange.request_id is not None and answer.status < 400:
            result = results.read_answer(document, exchange.request_id)
            if result is None:
                raise UpstreamError("The server's answer is not the answer to this request.")
            document = self._restrict(exchange, document)
            self._finish(exchange, result)
        await _send_response(exchange.request, answer.status, headers, document)

    async def _relay_stream(self, exchange: Exchange, answer: UpstreamAnswer, headers: list[tuple[bytes, bytes]]) -> None:
        if self._streams >= self._limits.max_streams:
            raise UpstreamError("Too many streams are open.")
        splitter = EventSplitter(self._limits.max_answer_bytes)
        rewrites = exchange.message is not None and exchange.message.method == TOOL_LIST
        self._streams += 1
        metrics.STREAMS.inc()
        request = exchange.request
        try:
            await request.send({"type": "http.response.start", "status": answer.status, "headers": headers})
            message_id = exchange.request_id
            answered = message_id is None
            try:
                while chunk := await answer.read():
                    for data in splitter.feed(chunk):
                        if message_id is not None and not answered and (result := results.read_answer(data, message_id)) is not None:
                            answered = True
                            self._finish(exchange, result)
                        if rewrites:
                            await _send_chunk(request, encode_event(self._restrict(exchange, data)))
                    if not rewrites:
                        await _send_chunk(request, chunk)
                if not answered and exchange.is_stateless:
                    raise UpstreamError("The server ended the stream without an answer.")
            except UpstreamError as error:
                if not answered:
                    self._finish(exchange, None)
                    await _send_chunk(request, encode_event(results.error_body(error.code, error.message, exchange.request_id)))
            await request.send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._streams -= 1
            metrics.STREAMS.dec()

    def _restrict(self, exchange: Exchange, document: bytes) -> bytes:
        if exchange.message is None or exchange.message.method != TOOL_LIST:
            return document
        assert exchange.entitlements is not None
        return restrict_tools(document, exchange.server, exchange.entitlements, is_stateless=exchange.is_stateless)

    def _finish(self, exchange: Exchange, answer: results.Answer | None, *, cancelled: bool = False) -> None:
        if exchange.is_finished or exchange.reservation is None:
            return
        exchange.is_finished = True
        self._charges.finish(exchange.caller, exchange.reservation, answer, cancelled=cancelled)

    async def _fail(self, exchange: Exchange, error: UpstreamError) -> None:
        if exchange.request_id is None:
            await self._respond(exchange.request, 502, results.error_body(error.code, error.message))
            return
        await self._respond(exchange.request, 200, results.error_body(error.code, error.message, exchange.request_id))

    async def _deny(self, exchange: Exchange, refusal: DomainError) -> None:
        message = exchange.message
        assert message is not None and message.id is not None
        body = results.denial_body(refusal, message.method, message.id, exchange.request.headers.get("mcp-protocol-version"))
        exchange.request.outcome = refusal.code
        headers = responses.refusal_headers(refusal, responses.utc_now())
        await self._respond(exchange.request, 200, body, headers.items())

    async def _refuse(self, request: Request, refusal: DomainError) -> None:
        headers = dict(responses.refusal_headers(refusal, responses.utc_now()))
        if refusal.status == 401 or isinstance(refusal, InsufficientScope):
            headers.pop("WWW-Authenticate", None)
            headers["www-authenticate"] = self._challenge(request, refusal)
        facts = results.denial_facts(refusal)
        body = results.error_body(INVALID_REQUEST, facts.pop("message"), data=facts)
        await self._respond(request, refusal.status, body, headers.items())

    def _challenge(self, request: Request, refusal: DomainError) -> str:
        """Return the challenge of RFC 6750 with the metadata of RFC 9728."""
        fields = [f'scope="{SCOPE}"']
        if (parameter := self._metadata.challenge_parameter(request.path)) is not None:
            fields.append(parameter)
        if isinstance(refusal, InsufficientScope):
            fields.insert(0, 'error="insufficient_scope"')
        elif request.headers.get("authorization"):
            fields.insert(0, 'error="invalid_token"')
        return f"Bearer {', '.join(fields)}"

    def _upstream_headers(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
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
                headers.append((SESSION_HEADER.encode(), session.encode("latin-1")))
            elif name in _FORWARDED or name.startswith(_FORWARDED_PREFIX):
                headers.append((name.encode(), value.encode("latin-1")))
        headers.append((b"x-request-id", exchange.request.id.encode()))
        return headers

    def _client_headers(self, exchange: Exchange, answer: UpstreamAnswer) -> list[tuple[bytes, bytes]]:
        headers = [(name, value) for name, value in answer.headers if name in _RETURNED]
        headers.append((b"x-request-id", exchange.request.id.encode()))
        if session := answer.header(SESSION_HEADER.encode()):
            bound = session_binding.bind(session.decode("latin-1"), exchange.server.name, exchange.principal.organization_id)
            headers.append((SESSION_HEADER.encode(), bound.encode("latin-1")))
        if exchange.reservation is not None and exchange.reservation.authorized is not None:
            headers += _rate_headers(exchange.reservation.authorized, exchange.caller)
        return headers

    async def _respond(self, request: Request, status: int, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        fields = [(b"content-type", JSON), (b"cache-control", b"private, no-store"), (b"x-request-id", request.id.encode())]
        fields += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        await _send_response(request, status, fields, body)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_response(request: Request, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await request.send({"type": "http.response.start", "status": status, "headers": headers})
    await request.send({"type": "http.response.body", "body": body, "more_body": False})


async def _discard(_: MutableMapping[str, Any]) -> None:
    """Drop what a client that has gone would have got."""


async def _send_chunk(request: Request, chunk: bytes) -> None:
    await request.send({"type": "http.response.body", "body": chunk, "more_body": True})


def _rate_headers(authorized: Authorized, caller: UsageCaller) -> list[tuple[bytes, bytes]]:
    if authorized.answer is None:
        return []
    return [(name.lower().encode(), value.encode()) for name, value in responses.rate_headers(authorized.answer, caller.now()).items()]
