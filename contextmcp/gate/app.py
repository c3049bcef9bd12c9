"""Requests in, answers out: the gate as an RSGI application (granian's own interface, half as costly as ASGI)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections

from accounts.errors import InvalidKeyFormat, Unauthenticated
from accounts.principals import MISS, cache
from accounts.types import Principal
from contextmcp.common.errors import DomainError, MethodNotAllowed, NotFound, PayloadTooLarge
from contextmcp.common.problems import CONTENT_TYPE, ServerError
from usage import encoding, store
from usage.errors import TemporarilyUnavailable

from .desk import Desk, Reply, Request, read_entitlements

log = logging.getLogger(__name__)
Headers = list[tuple[str, str]]
JSON: Headers = [("content-type", "application/json")]
# Keys that nobody knows wait here, not in the way of those that are known.
AUTHENTICATING = 4
MOST_BYTES: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


Handler = Callable[[Desk, Request], Awaitable[Reply]]


class Gate:
    """`POST /api/usage/authorize` and its like. One per process."""

    def __init__(self) -> None:
        self._desk: Desk | None = None
        self._threads = ThreadPoolExecutor(AUTHENTICATING, "gate-keys")

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.proto != "http":
            protocol.close(1008)
            return
        try:
            reply = await self._answer(scope, protocol)
        except DomainError as refusal:
            reply = refused(refusal)
        except Exception:
            log.exception("the gate failed on %s", scope.path)
            reply = refused(ServerError())
        protocol.response_bytes(reply.status, reply.headers, reply.body)

    async def _answer(self, scope: Any, protocol: Any) -> Reply:
        handler, place = route(scope.path)
        if handler is None:
            return Reply(200, JSON, b'{"status": "ok"}')
        if scope.method != "POST":
            raise MethodNotAllowed
        headers = scope.headers
        principal = await self._principal(headers)
        body = await _body(protocol, headers.get("content-length", ""))
        if self._desk is None:
            self._desk = Desk()
        return await handler(self._desk, Request(principal, headers, body, place))

    async def _principal(self, headers: Mapping[str, str]) -> Principal:
        scheme, _, raw = headers.get("authorization", "").strip().partition(" ")
        if not scheme:
            raise Unauthenticated
        if scheme.lower() != "bearer":
            raise InvalidKeyFormat("Send the API key as: Authorization: Bearer <key>.")
        raw = raw.strip()
        found = cache.get(raw)
        if found is MISS:
            try:
                found = await asyncio.get_running_loop().run_in_executor(self._threads, _load, raw)
            except store.Unreachable:
                # Whom this process knew a moment ago it still knows; what counts durably cannot happen without Postgres anyway.
                found = cache.get(raw, stale=True)
                if found is MISS:
                    raise TemporarilyUnavailable(retry_after=1) from None
        if isinstance(found, DomainError):
            raise found
        assert isinstance(found, Principal)
        return found


async def _body(protocol: Any, length: str) -> bytes:
    """All of it, if it is not too much."""
    most = MOST_BYTES
    if length.isdigit() and int(length) <= most:
        whole: bytes = await protocol()
        return whole
    # Somewhat too much is read and thrown away, so that the refusal reaches a client that is still sending.
    chunks, size = [], 0
    async for chunk in protocol:
        size += len(chunk)
        if size > 4 * most:
            break
        if size <= most:
            chunks.append(chunk)
    if size > most:
        raise PayloadTooLarge
    return b"".join(chunks)


def _load(raw: str) -> Principal:
    close_old_connections()
    principal = cache.load(raw)
    # Whoever asks needs these next; here they cost no second way to a thread and back.
    read_entitlements(principal)
    return principal


def refused(refusal: DomainError) -> Reply:
    headers = [("content-type", CONTENT_TYPE)]
    headers += [(name.lower(), value) for name, value in encoding.refusal_headers(refusal, encoding.present()).items()]
    return Reply(refusal.status, headers, encoding.problem(refusal))


ROUTES: dict[str, Handler] = {
    "/api/usage/authorize": Desk.authorize,
    "/api/entitlements/check": Desk.check,
    "/api/usage/events": Desk.events,
}
_HOLDS = "/api/usage/holds/"
_ENDINGS: dict[str, Handler] = {"settle": Desk.settle, "release": Desk.release}


def route(path: str) -> tuple[Handler | None, UUID | None]:
    """Who answers there; None is the sign of life."""
    handler = ROUTES.get(path)
    if handler is not None:
        return handler, None
    if path == "/livez":
        return None, None
    if path.startswith(_HOLDS):
        identifier, _, how = path[len(_HOLDS) :].partition("/")
        try:
            place = UUID(identifier)
        except ValueError:
            raise NotFound from None
        if how in _ENDINGS and str(place) == identifier:
            return _ENDINGS[how], place
    raise NotFound
