"""Forward a message to its upstream server: reserve, send, stream the response back, and settle or release."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from contextmcp.common.errors import DomainError
from usage.api import responses
from usage.refusals.recording import record

from . import assertion, metrics, results
from .charge import Charges
from .connection import Headers
from .errors import ResponseTooLarge, UpstreamError
from .event_stream import EventSplitter, encode_event
from .exchange import ClientGone, Exchange, GatewayLimits, client_headers, own_headers, upstream_headers
from .messages import MessageId
from .pricing import Default, Server
from .tool_list import restrict_tools
from .upstream import Limits, UpstreamPool, UpstreamResponse

TOOL_LIST = "tools/list"
# The scope that a credential needs for a request that is charged.
SCOPE = "usage:write"
EVENT_STREAM = b"text/event-stream"


class Relay:
    """Forwards the messages of one process. Create it on the event loop."""

    def __init__(self, servers: Mapping[str, Server], charges: Charges, limits: GatewayLimits) -> None:
        self._charges, self._limits = charges, limits
        self._assertions = assertion.Assertions(charges.entitlements)
        self._pools = {name: UpstreamPool(server.url, _upstream_limits(server)) for name, server in servers.items()}
        self._streams = 0
        # Streams that wait for messages of a server. They are ended when the process stops.
        self._listening: set[asyncio.Task[Any]] = set()

    def end_listening(self) -> None:
        """End the streams on which no response is expected, because their clients reconnect to another process."""
        for task in self._listening:
            task.cancel()

    def close(self) -> None:
        """Close the connections to the servers."""
        for pool in self._pools.values():
            pool.close()

    async def forward(self, exchange: Exchange) -> None:
        """Answer a message.

        Raises:
            ClientGone: the client left before the response.
            DomainError: the request is refused before it is forwarded.
        """
        message = exchange.message
        headers = upstream_headers(exchange)
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
        task = asyncio.current_task()
        assert task is not None

        def leave(_: asyncio.Future[None]) -> None:
            if not exchange.is_complete:
                exchange.client_left = True
                # A client of an earlier revision may reconnect and request the response, so closing its connection cancels nothing.
                if exchange.is_stateless or exchange.reservation is None:
                    task.cancel()

        exchange.response.gone.add_done_callback(leave)
        if message is None and exchange.request.method == "GET":
            self._listening.add(task)
        try:
            await self._exchange(exchange, headers)
        except asyncio.CancelledError:
            if exchange.client_left:
                task.uncancel()
            elif task in self._listening and exchange.response.is_started:
                task.uncancel()
                await exchange.response.end()
            else:
                raise
        finally:
            exchange.is_complete = True
            exchange.response.gone.remove_done_callback(leave)
            self._listening.discard(task)
        if exchange.client_left:
            raise ClientGone

    async def _exchange(self, exchange: Exchange, headers: Headers) -> None:
        """Forward the request and stream the response back. The reservation is settled or released in every case."""
        try:
            charged = exchange.request.request_id if exchange.reservation is not None else None
            headers += await self._assertions.headers(exchange.principal, exchange.caller, exchange.server.url, charged)
            pool = self._pools[exchange.server.name]
            # MCP defines no bodies for other methods, so this one was not read.
            body = exchange.request.body if exchange.message is not None else b""
            with await pool.send(exchange.request.method.encode(), headers, body) as response:
                await self._relay(exchange, response)
        except UpstreamError as error:
            self._finish(exchange, None)
            await self._fail(exchange, error)
        except asyncio.CancelledError:
            self._finish(exchange, None, cancelled=True)
            raise
        finally:
            self._finish(exchange, None)

    async def _relay(self, exchange: Exchange, response: UpstreamResponse) -> None:
        if response.status >= 500 or response.status in (301, 302, 303, 307, 308, 401, 407):
            # The gateway's credentials or the server are wrong, which the client cannot correct.
            raise UpstreamError(f"The server responded with status {response.status}.")
        content_type = response.header(b"content-type").split(b";")[0].strip().lower()
        headers = client_headers(exchange, response)
        if content_type == EVENT_STREAM:
            await self._relay_stream(exchange, response, headers)
        else:
            await self._relay_document(exchange, response, headers)

    async def _relay_document(self, exchange: Exchange, response: UpstreamResponse, headers: Headers) -> None:
        pieces, length = [], 0
        while piece := await response.read():
            pieces.append(piece)
            length += len(piece)
            if length > self._limits.max_response_bytes:
                raise ResponseTooLarge("The server's response is too large.")
        document = b"".join(pieces)
        if exchange.request_id is not None and response.status < 400:
            result = results.read_response(document, exchange.request_id)
            if result is None:
                raise UpstreamError("The server's response does not belong to this request.")
            document = self._restrict(exchange, document)
            self._finish(exchange, result)
        await exchange.response.respond(response.status, headers, document)

    async def _relay_stream(self, exchange: Exchange, response: UpstreamResponse, headers: Headers) -> None:
        if self._streams >= self._limits.max_streams:
            raise UpstreamError("Too many streams are open.")
        self._streams += 1
        metrics.STREAMS.inc()
        client = exchange.response
        try:
            await client.start(response.status, headers)
            try:
                has_response = await self._relay_events(exchange, response)
                if not has_response and exchange.is_stateless:
                    raise UpstreamError("The server ended the stream without a response.")
                if not has_response and exchange.reservation is not None:
                    # The server may send the response on another stream of the session.
                    exchange.is_finished = True
                    await self._charges.defer(exchange.reservation, _call_key(exchange, exchange.request_id))
            except UpstreamError as error:
                if exchange.request_id is not None and not exchange.is_finished:
                    self._finish(exchange, None)
                    await client.write(encode_event(results.error_body(error.code, error.message, exchange.request_id)))
            await client.end()
        finally:
            self._streams -= 1
            metrics.STREAMS.dec()

    async def _relay_events(self, exchange: Exchange, response: UpstreamResponse) -> bool:
        """Forward a stream as it arrives. Return whether it contained the response, if one is expected."""
        splitter = EventSplitter(self._limits.max_response_bytes)
        rewrites = exchange.message is not None and exchange.message.method == TOOL_LIST
        message_id = exchange.request_id
        has_response = message_id is None
        while chunk := await response.read():
            for data in splitter.feed(chunk):
                if message_id is None:
                    await self._settle_deferred(exchange, data)
                elif not has_response and (result := results.read_response(data, message_id)) is not None:
                    has_response = True
                    self._finish(exchange, result)
                if rewrites:
                    await exchange.response.write(encode_event(self._restrict(exchange, data)))
            if not rewrites:
                await exchange.response.write(chunk)
        return has_response

    async def _settle_deferred(self, exchange: Exchange, data: bytes) -> None:
        """Settle an earlier call of the session if `data` is its response."""
        if exchange.session and (identifier := results.answered_request_id(data)) is not None:
            result = results.read_response(data, identifier)
            if result is not None:
                await self._charges.finish_deferred(exchange.caller, _call_key(exchange, identifier), result)

    def _restrict(self, exchange: Exchange, document: bytes) -> bytes:
        if exchange.message is None or exchange.message.method != TOOL_LIST:
            return document
        assert exchange.entitlements is not None
        return restrict_tools(document, exchange.server, exchange.entitlements, is_stateless=exchange.is_stateless)

    def _finish(self, exchange: Exchange, response: results.Response | None, *, cancelled: bool = False) -> None:
        if exchange.is_finished or exchange.reservation is None:
            return
        exchange.is_finished = True
        self._charges.finish(exchange.caller, exchange.reservation, response, cancelled=cancelled)

    async def _fail(self, exchange: Exchange, error: UpstreamError) -> None:
        status = 502 if exchange.request_id is None else 200
        body = results.error_body(error.code, error.message, exchange.request_id)
        await exchange.response.respond(status, own_headers(exchange.request), body)

    async def _deny(self, exchange: Exchange, refusal: DomainError) -> None:
        message = exchange.message
        assert message is not None and message.id is not None
        body = results.denial_body(refusal, message.method, message.id, exchange.request.headers.get("mcp-protocol-version"))
        exchange.refusal = refusal.code
        record(exchange.caller.subject, refusal, exchange.priced_tool)
        headers = own_headers(exchange.request, responses.refusal_headers(refusal, responses.utc_now()))
        await exchange.response.respond(200, headers, body)


def _upstream_limits(server: Server) -> Limits:
    return Limits(head_seconds=server.timeout_seconds, idle_seconds=server.timeout_seconds)


def _call_key(exchange: Exchange, identifier: MessageId | None) -> str:
    """Return the identifier of a session's request, which is the same in every process."""
    return f"{exchange.server.name} {exchange.principal.organization_id} {exchange.session} {identifier!r}"
