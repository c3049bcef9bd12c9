"""The gateway's application: authenticate a request, parse its message, and reject or forward it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from accounts.errors import InsufficientScope
from accounts.principal_cache import cache, memory_digest
from accounts.types import Principal
from contextmcp.common.errors import DomainError, MethodNotAllowed, NotFound
from contextmcp.common.incidents import INCIDENTS, SERVER_ERROR
from contextmcp.common.logs import log_principal, request_id
from contextmcp.common.middleware import choose_request_id, client_address, forwarded_address
from contextmcp.gate.app import BAD_REQUESTS
from contextmcp.gate.authentication import Authenticator
from contextmcp.gate.http_messages import ClientTrust, HttpRequest, HttpResponse
from usage.api import responses
from usage.operations.caller import UsageCaller
from usage.refusals.recording import record

from . import metadata, metrics, results
from .charge import Charges, Driver
from .connection import ResponseWriter
from .errors import OriginNotAllowed, ProtocolError, ServiceKeyNotAccepted
from .exchange import ClientGone, Exchange, GatewayLimits, own_headers
from .health import Health
from .messages import INVALID_REQUEST, check_headers, parse
from .pricing import Server
from .relay import SCOPE, Relay

log = logging.getLogger(__name__)
MCP_PATH = "/mcp"
METHODS = ("POST", "GET", "DELETE")


class GatewayApp:
    """Serves `/mcp` for the only server, and `/mcp/<name>` for each. Create it on the event loop."""

    def __init__(
        self,
        servers: dict[str, Server],
        authenticator: Authenticator,
        driver: Driver,
        *,
        public_url: str,
        allowed_origins: Iterable[str] = (),
        limits: GatewayLimits | None = None,
    ) -> None:
        self._servers, self._authenticator = servers, authenticator
        self._charges = Charges(driver)
        self._relay = Relay(servers, self._charges, limits or GatewayLimits())
        self._health = Health(servers)
        self._metadata = metadata.Metadata(MCP_PATH, servers, SCOPE)
        public = urlsplit(public_url)
        self._origins = {f"{public.scheme}://{public.netloc}", *allowed_origins}

    def end_listening(self) -> None:
        """End the streams on which no response is expected."""
        self._relay.end_listening()

    async def close(self) -> None:
        """Wait for the settlements of finished calls, and close the connections to the servers."""
        await self._charges.drain()
        self._relay.close()

    async def answer(self, request: HttpRequest, response: ResponseWriter) -> None:
        """Respond to every request. Each runs in its own task, so that context variables set here do not leak into other requests."""
        request.request_id = choose_request_id(request.headers.get("x-request-id", ""))
        request_id.set(request.request_id)
        started, outcome = time.perf_counter(), "ok"
        try:
            outcome = await self._serve(request, response) or outcome
        except ClientGone:
            outcome = "client_gone"
        except ProtocolError as error:
            outcome = "protocol_error"
            await response.respond(400, own_headers(request), results.error_body(error.code, error.message, error.request_id))
        except DomainError as refusal:
            outcome = refusal.code
            await self._refuse(request, response, refusal)
        except Exception:
            outcome = "server_error"
            log.exception("the gateway failed on %s", request.path)
            INCIDENTS.record(SERVER_ERROR, "gateway")
            with suppress(Exception):
                body = results.error_body(-32603, "An unexpected error occurred. It has been recorded.")
                await response.respond(500, own_headers(request), body)
        metrics.observe(request.method, outcome, time.perf_counter() - started)

    async def _serve(self, request: HttpRequest, response: ResponseWriter) -> str:
        """Respond to a request. Return the code of the refusal if the plan refused it."""
        if not request.path.startswith(MCP_PATH) and await self._answer_publicly(request, response):
            return ""
        if request.refusal is not None:
            raise request.refusal
        server = self._find_server(request.path)
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins:
            raise OriginNotAllowed
        if request.method not in METHODS:
            raise MethodNotAllowed(*METHODS)
        client_address.set(forwarded_address(request.headers.get("x-forwarded-for", "")))
        principal = await self._authenticate(request, server)
        log_principal.set(principal)
        exchange = Exchange(request, response, server, principal, UsageCaller.of_principal(principal))
        if request.method == "POST":
            exchange.message = parse(request.body)
            check_headers(exchange.message, request.headers)
        try:
            await self._relay.forward(exchange)
        except DomainError as refusal:
            record(exchange.caller.subject, refusal, exchange.priced_tool)
            raise
        return exchange.refusal

    async def _answer_publicly(self, request: HttpRequest, response: ResponseWriter) -> bool:
        """Respond to a request that needs no credential, and return True. Return False for other requests."""
        if (report := await self._health.answer(request.path, request.headers.get("authorization", ""))) is not None:
            fields = [(b"content-type", report.content_type.encode()), (b"cache-control", b"private, no-store")]
            await response.respond(report.status, fields, report.body)
            return True
        if request.refusal is None and (published := self._metadata.answer(request.method, request.path)) is not None:
            await response.respond(200, *published)
            return True
        return False

    async def _authenticate(self, request: HttpRequest, server: Server) -> Principal:
        if request.credential_digest is not None and (known := cache.get_by_digest(request.credential_digest)) is not None:
            request.verified = True
            return known
        principal, raw = await self._authenticator.authenticate(request.headers.get("authorization", ""), mcp_server=server.name)
        if not isinstance(principal, Principal):
            raise ServiceKeyNotAccepted
        request.verified = True
        # The digest finds only keys in the cache. Access tokens are checked each time, because they are bound to servers.
        request.credential_digest = memory_digest(raw)
        return principal

    def _find_server(self, path: str) -> Server:
        if path == MCP_PATH and len(self._servers) == 1:
            return next(iter(self._servers.values()))
        prefix, _, name = path.rpartition("/")
        if prefix != MCP_PATH or name not in self._servers:
            raise NotFound
        return self._servers[name]

    async def _refuse(self, request: HttpRequest, response: ResponseWriter, refusal: DomainError) -> None:
        headers = dict(responses.refusal_headers(refusal, responses.utc_now()))
        if refusal.status == 401 or isinstance(refusal, InsufficientScope):
            headers.pop("WWW-Authenticate", None)
            headers["www-authenticate"] = self._challenge(request, refusal)
        await response.respond(refusal.status, own_headers(request, headers), refusal_body(refusal))

    def _challenge(self, request: HttpRequest, refusal: DomainError) -> str:
        """Return the challenge of RFC 6750 with the metadata of RFC 9728."""
        fields = [f'scope="{SCOPE}"']
        if (parameter := self._metadata.challenge_parameter(request.path)) is not None:
            fields.append(parameter)
        if isinstance(refusal, InsufficientScope):
            fields.insert(0, 'error="insufficient_scope"')
        elif request.headers.get("authorization"):
            fields.insert(0, 'error="invalid_token"')
        return f"Bearer {', '.join(fields)}"


def refusal_body(refusal: DomainError) -> bytes:
    """Return the JSON-RPC error of a request that was refused before its message was read."""
    facts = results.denial_facts(refusal)
    return results.error_body(INVALID_REQUEST, facts.pop("message"), data=facts)


def bad_request_response(status: int) -> HttpResponse:
    """Return the response for bytes that are not a complete request. `status` is one of `BAD_REQUESTS`."""
    refusal = BAD_REQUESTS[status]()
    headers = [(name.decode(), value.decode()) for name, value in own_headers(HttpRequest("", "", {}, request_id=choose_request_id("")))]
    metrics.observe("other", refusal.code, 0.0)
    return HttpResponse(refusal.status, headers, refusal_body(refusal))


def identify(headers: Mapping[str, str]) -> tuple[ClientTrust, bytes | None]:
    """Return the trust level of the credential in these headers, and the digest of a key that was verified before.

    It reads caches only and never blocks.
    """
    scheme, _, raw = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer":
        return ClientTrust.REFUSED, None
    digest = memory_digest(raw.strip())
    if cache.get_by_digest(digest) is not None:
        return ClientTrust.VERIFIED, digest
    return ClientTrust.UNVERIFIED, None
