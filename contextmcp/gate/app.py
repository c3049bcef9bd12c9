"""Requests in, answers out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections

from accounts import verification
from accounts.errors import InvalidKeyFormat, ServiceKeyRequired, Unauthenticated
from accounts.keys import is_service_key
from accounts.principals import MISS, cache
from accounts.service_principals import NAMING_HEADERS, bounded, name_customer, principal_for, service_keys
from accounts.types import Principal, ServicePrincipal
from contextmcp.common.errors import DomainError, MalformedRequest, MethodNotAllowed, NotFound, PayloadTooLarge
from contextmcp.common.problems import CONTENT_TYPE, ServerError
from usage import encoding, store
from usage.errors import TemporarilyUnavailable

from .desk import LOAD_SECONDS, Desk, Request, read_entitlements
from .http import Asked, Headers, Reply

log = logging.getLogger(__name__)
JSON: Headers = [("content-type", "application/json")]
# Keys that nobody knows wait here, not in the way of those that are known. More threads than may wait for bcrypt: guesses at keys of a
# secret that was rotated away fill those places and are then told to come back, while first calls of good keys still find a thread.
AUTHENTICATING = verification.THREADS + verification.WAITING + 4
BAD_REQUEST = 400
MOST_BYTES: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


Handler = Callable[[Desk, Request], Awaitable[Reply]]


class Gate:
    """`POST /api/usage/authorize` and its like. One per process."""

    def __init__(self) -> None:
        self._desk: Desk | None = None
        self._threads = ThreadPoolExecutor(AUTHENTICATING, "gate-keys")

    async def answer(self, asked: Asked) -> Reply:
        """Whatever happens, an answer."""
        try:
            return await self._answer(asked)
        except DomainError as refusal:
            return refused(refusal)
        except Exception:
            log.exception("the gate failed on %s", asked.path)
            return refused(ServerError())

    async def _answer(self, asked: Asked) -> Reply:
        handler, place = route(asked.path)
        if handler is None:
            return Reply(200, JSON, b'{"status": "ok"}')
        if asked.method != ("GET" if handler is Desk.current else "POST"):
            raise MethodNotAllowed
        principal = await self._principal(asked.headers)
        if asked.too_large:
            raise PayloadTooLarge
        if isinstance(principal, ServicePrincipal):
            return await self._serve(handler, place, principal, asked)
        if handler in SERVICE_ONLY:
            raise ServiceKeyRequired
        if self._desk is None:
            self._desk = Desk()
        return await handler(self._desk, Request(principal, asked.headers, asked.body, place, asked.query))

    async def _serve(self, handler: Handler, place: UUID | None, service: ServicePrincipal, asked: Asked) -> Reply:
        """Answer a service key, for the customer that the request names."""
        headers = {name: asked.headers[name.lower()] for name in NAMING_HEADERS if name.lower() in asked.headers}
        query = dict(parse_qsl(asked.query, keep_blank_values=True))
        kind = asked.headers.get("content-type", "")
        credential, organization_id, body = name_customer(headers, query, asked.body, kind)
        if credential is not None:
            customer = bounded(await self._customer(credential), service)
        else:
            assert organization_id is not None
            customer = await self._in_thread(_organization, service, organization_id)
        if self._desk is None:
            self._desk = Desk()
        return await handler(self._desk, Request(customer, asked.headers, body, place, asked.query, service))

    async def _in_thread(self, work: Callable[..., Any], *values: Any) -> Any:
        try:
            return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._threads, work, *values), LOAD_SECONDS)
        except (*store.Unreachable, TimeoutError):
            raise TemporarilyUnavailable(retry_after=1) from None

    async def _principal(self, headers: Mapping[str, str]) -> Principal | ServicePrincipal:
        scheme, _, raw = headers.get("authorization", "").strip().partition(" ")
        if not scheme:
            raise Unauthenticated
        if scheme.lower() != "bearer":
            raise InvalidKeyFormat("Send the API key as: Authorization: Bearer <key>.")
        found: Principal | ServicePrincipal = await self._customer(raw.strip(), or_service=True)
        return found

    async def _customer(self, raw: str, *, or_service: bool = False) -> Any:
        found = cache.get(raw)
        if found is MISS:
            try:
                loading = asyncio.get_running_loop().run_in_executor(self._threads, _load, raw)
                found = await asyncio.wait_for(loading, LOAD_SECONDS)
            except (*store.Unreachable, TimeoutError):
                # Whom this process knew a moment ago it still knows; what counts durably cannot happen without Postgres anyway.
                found = cache.get(raw, stale=True)
                if found is MISS:
                    raise TemporarilyUnavailable(retry_after=1) from None
        if isinstance(found, DomainError):
            if or_service and is_service_key(raw):
                return service_keys.get(raw) or await self._in_thread(_load_service, raw)
            raise found
        assert isinstance(found, Principal)
        return found


def _load(raw: str) -> Principal:
    close_old_connections()
    principal = cache.load(raw)
    # Whoever asks needs these next; here they cost no second way to a thread and back.
    read_entitlements(principal)
    return principal


def _load_service(raw: str) -> ServicePrincipal:
    close_old_connections()
    return service_keys.load(raw)


def _organization(service: ServicePrincipal, organization_id: UUID) -> Principal:
    close_old_connections()
    return principal_for(service, organization_id)


def refused(refusal: DomainError) -> Reply:
    headers = [("content-type", CONTENT_TYPE)]
    headers += [(name.lower(), value) for name, value in encoding.refusal_headers(refusal, encoding.present()).items()]
    return Reply(refusal.status, headers, encoding.problem(refusal))


def unreadable(status: int) -> Reply:
    """Where there is no request to answer."""
    refusal = MalformedRequest() if status == BAD_REQUEST else PayloadTooLarge()
    found = refused(refusal)
    found.status = status
    return found


ROUTES: dict[str, Handler] = {
    "/api/usage/authorize": Desk.authorize,
    "/api/entitlements/check": Desk.check,
    "/api/usage/events": Desk.events,
    "/api/usage/current": Desk.current,
}
# What restates usage. A customer's key may not.
SERVICE_ONLY = frozenset({Desk.events, Desk.settle, Desk.release})
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
