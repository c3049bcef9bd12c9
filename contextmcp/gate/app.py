"""Authenticate requests to the gate, run the handler of their route, and turn errors into problem documents."""

import asyncio
import logging
import time
from collections.abc import Mapping
from uuid import UUID

from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST

from accounts.key_format import is_service_key
from accounts.principal_cache import MISS, cache, memory_digest
from accounts.service_principals import service_keys
from accounts.types import Principal, ServicePrincipal
from contextmcp.common import metrics as exposition
from contextmcp.common.errors import (
    DomainError,
    HeadersTooLarge,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    RequestTimeout,
    UnreadableRequest,
    UriTooLong,
)
from contextmcp.common.headers import PRIVATE
from contextmcp.common.incidents import INCIDENTS, SERVER_ERROR
from contextmcp.common.logs import log_principal, request_id
from contextmcp.common.middleware import choose_request_id, client_address, forwarded_address
from contextmcp.common.pool import use_pool
from contextmcp.common.problems import CONTENT_TYPE, ServerError
from usage.api import responses
from usage.api.handlers import UsageRequest
from usage.api.routes import ROUTES, Route
from usage.operations.caller import UsageCaller
from usage.refusals.recording import record

from . import metrics
from .authentication import AUTHENTICATION_THREADS, Authenticator
from .driver import DATABASE_THREADS, AsyncDriver
from .http_messages import JSON_HEADERS, ClientTrust, HttpRequest, HttpResponse

log = logging.getLogger(__name__)
# Responses depend on the caller and change with each request, so no cache may store them.
NO_STORE = ("cache-control", PRIVATE)
# Creating partitions and the spool also use connections.
OTHER_THREADS = 4
MAX_BODY_BYTES: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE


class GateApp:
    """Answers the routes of the usage API that are `on_gate`. There is one instance per process."""

    def __init__(self) -> None:
        self._driver: AsyncDriver | None = None
        self._authenticator = Authenticator()
        # The pool has one connection for each thread, so no thread waits for one. Idle connections are closed.
        use_pool(AUTHENTICATION_THREADS + DATABASE_THREADS + OTHER_THREADS)

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Return a response to every request. Exceptions become error responses.

        Each request runs in its own task, so context variables set here do not leak into other requests.
        """
        identifier = choose_request_id(request.headers.get("x-request-id", ""))
        request_id.set(identifier)
        request.request_id = identifier
        started, code = time.perf_counter(), ""
        try:
            response = await self._answer(request)
        except DomainError as refusal:
            response, code = error_response(refusal), refusal.code
        except Exception:
            log.exception("the gate failed on %s", request.path)
            INCIDENTS.record(SERVER_ERROR, "gate")
            response, code = error_response(ServerError()), ServerError.code
        metrics.observe(request, response.status, code, time.perf_counter() - started)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/livez":
            # A liveness probe reports that this process runs. It depends on no other service.
            return HttpResponse(200, JSON_HEADERS, b'{"status": "ok"}')
        if request.refusal is not None:
            raise request.refusal
        if request.path == "/metrics":
            return await self._metrics(request)
        route, parameter = find_route(request.path)
        principal: Principal | ServicePrincipal | None = None
        if request.credential_digest is not None:
            principal = cache.get_by_digest(request.credential_digest)
        if principal is None:
            client_address.set(forwarded_address(request.headers.get("x-forwarded-for", "")))
            principal, raw = await self._authenticator.authenticate(request.headers.get("authorization", ""))
            request.credential_digest = memory_digest(raw) if isinstance(principal, Principal) else None
        request.verified = True
        if request.method != route.method and request.method not in route.methods:
            raise MethodNotAllowed(*route.methods)
        log_principal.set(principal)
        body = request.body
        if isinstance(principal, ServicePrincipal):
            customer, body = await self._authenticator.find_customer(principal, request.headers, request.query, request.body)
            caller = UsageCaller.of_principal(customer, principal, request.request_id)
        else:
            customer = principal
            caller = UsageCaller.of_principal(customer)
        if self._driver is None:
            self._driver = AsyncDriver()
        try:
            operation = route.start(customer, UsageRequest(caller, request.headers, body, request.query, parameter))
            reply = await self._driver.run(operation)
        except DomainError as refusal:
            record(caller.subject, refusal)
            raise
        return HttpResponse(200, [*JSON_HEADERS, *reply.headers] if reply.headers else JSON_HEADERS, reply.body)

    async def _metrics(self, request: HttpRequest) -> HttpResponse:
        if not exposition.permits(request.headers.get("authorization", "")):
            raise NotFound
        metrics.flush()
        body = await asyncio.get_running_loop().run_in_executor(None, exposition.render)
        return HttpResponse(200, [("content-type", CONTENT_TYPE_LATEST)], body)


def error_response(refusal: DomainError) -> HttpResponse:
    """Return the problem document of a refusal with its headers."""
    headers = [("content-type", CONTENT_TYPE), *responses.refusal_headers(refusal, responses.utc_now()).items()]
    return HttpResponse(refusal.status, headers, responses.problem(refusal))


BAD_REQUESTS = {
    error.status: error for error in (UnreadableRequest, RequestTimeout, PayloadTooLarge, UriTooLong, HeadersTooLarge, Overloaded)
}


def bad_request_response(status: int) -> HttpResponse:
    """Return the response to bytes that are not a complete request. `status` is one of `BAD_REQUESTS`."""
    identifier = choose_request_id("")
    response = error_response(BAD_REQUESTS[status]())
    metrics.REJECTED.labels(str(status)).inc()
    return HttpResponse(response.status, [*response.headers, NO_STORE, ("x-request-id", identifier)], response.body)


def identify(headers: Mapping[str, str]) -> tuple[ClientTrust, bytes | None]:
    """Return the trust in the credential of these headers, and the digest of a key that this process has verified.

    It reads caches only and never blocks. With the digest, the key is not hashed again when the request is handled.
    """
    scheme, _, raw = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer":
        return ClientTrust.REFUSED, None
    raw = raw.strip()
    digest = memory_digest(raw)
    if cache.get_by_digest(digest) is not None:
        return ClientTrust.VERIFIED, digest
    if cache.get(raw) is MISS:
        return ClientTrust.UNVERIFIED, None
    if is_service_key(raw):
        return ClientTrust.UNVERIFIED if service_keys.get(raw) is None else ClientTrust.VERIFIED, None
    return ClientTrust.REFUSED, None


_UUID = "<uuid:hold_id>"
_EXACT = {f"/api/{route.path}": route for route in ROUTES if route.on_gate and "<" not in route.path}
_WITH_ID = [(f"/api/{route.path}".partition(_UUID), route) for route in ROUTES if route.on_gate and "<" in route.path]


def find_route(path: str) -> tuple[Route, UUID | None]:
    """Return the route of `path`, and the value of its path parameter or None. Raises `NotFound`."""
    route = _EXACT.get(path)
    if route is not None:
        return route, None
    for (prefix, _, suffix), candidate in _WITH_ID:
        if path.startswith(prefix) and path.endswith(suffix):
            text = path[len(prefix) : -len(suffix)]
            try:
                identifier = UUID(text)
            except ValueError:
                raise NotFound from None
            if str(identifier) == text:
                return candidate, identifier
    raise NotFound
