"""Verify the credentials of requests on an event loop."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings

from accounts import key_verification
from accounts.errors import InvalidKeyFormat, Unauthenticated
from accounts.key_format import is_service_key
from accounts.oauth import resources, service_access
from accounts.oauth.errors import AccessTokenForOtherResource, AccessTokenNotFound
from accounts.oauth.token_cache import TokenPrincipal, tokens
from accounts.oauth.token_format import is_access_token
from accounts.principal_cache import MISS, PrincipalCache, cache
from accounts.service_principals import NAMING_HEADERS, name_customer, principal_for, restrict_scopes, service_keys
from accounts.types import Principal, ServicePrincipal
from contextmcp.common.errors import DomainError
from usage.errors import TemporarilyUnavailable
from usage.operations.caller import read_entitlements
from usage.store import executor

from .driver import LOAD_SECONDS
from .threads import in_thread

# Keys that are not cached are verified in these threads, so that they do not delay requests with cached keys. There are more threads than
# bcrypt verifications may wait: if guessed keys fill the waiting places, they are refused with 503 and first calls of valid keys still get
# a thread.
AUTHENTICATION_THREADS = key_verification.THREADS + key_verification.MAX_WAITING + 4


class Authenticator:
    """Finds who sends a request. There is one instance per process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AUTHENTICATION_THREADS, "gate-keys")

    async def authenticate(self, authorization: str, *, mcp_server: str | None = None) -> tuple[Principal | ServicePrincipal, str]:
        """Return the principal of an `Authorization` header, and the credential that it contains.

        `mcp_server` is the name of the MCP server that is called. Access tokens of OAuth are accepted for MCP servers only.

        Raises:
            Unauthenticated, InvalidKeyFormat, DomainError: there is no credential, or it is not accepted.
            TemporarilyUnavailable: PostgreSQL is unreachable and the key is not known to this process.
        """
        scheme, _, raw = authorization.strip().partition(" ")
        if not scheme:
            raise Unauthenticated
        if scheme.lower() != "bearer":
            raise InvalidKeyFormat("Send the API key as: Authorization: Bearer <key>.")
        raw = raw.strip()
        if is_service_key(raw):
            return service_keys.get(raw) or await self._in_thread(service_keys.load, raw), raw
        if mcp_server is not None and is_access_token(raw):
            return await self._verify_token(raw, mcp_server), raw
        return await self.verify_key(raw), raw

    async def verify_key(self, raw: str) -> Principal:
        """Return the principal of an API key. Raises the refusal."""
        return await self._verify(cache, raw)

    async def _verify_token(self, raw: str, mcp_server: str) -> Principal:
        """Return the principal of an access token. Raises the refusal, also of a token that is bound to another server."""
        if not settings.OAUTH_ENABLED:
            raise AccessTokenNotFound
        principal = await self._verify(tokens, raw)
        assert isinstance(principal, TokenPrincipal)
        if not resources.covers(principal.resources, mcp_server):
            raise AccessTokenForOtherResource(resources=sorted(principal.resources))
        return principal

    async def _verify_credential(self, raw: str) -> Principal:
        """Return the principal of a credential that a service key shows: an API key or an access token. Raises the refusal."""
        if is_access_token(raw):
            return service_access.check_token(await self._verify(tokens, raw))
        return await self.verify_key(raw)

    async def _verify(self, known: PrincipalCache, raw: str) -> Principal:
        principal = known.get(raw)
        if principal is MISS:
            try:
                principal = await asyncio.wait_for(in_thread(self._threads, _load, known, raw), LOAD_SECONDS)
            except (*executor.UNREACHABLE_ERRORS, TimeoutError):
                # The last known principal is accepted during an outage, because nothing can be counted without Postgres anyway.
                principal = known.get(raw, stale=True)
                if principal is MISS:
                    raise TemporarilyUnavailable(retry_after=1) from None
        if isinstance(principal, DomainError):
            raise principal
        assert isinstance(principal, Principal)
        return principal

    async def find_customer(
        self, service: ServicePrincipal, headers: Mapping[str, str], query: str, body: bytes
    ) -> tuple[Principal, bytes]:
        """Return the customer that a request with a service key names, and the body without the fields that name it."""
        naming = {name: headers[name.lower()] for name in NAMING_HEADERS if name.lower() in headers}
        parameters = dict(parse_qsl(query, keep_blank_values=True))
        credential, organization_id, body = name_customer(naming, parameters, body, headers.get("content-type", ""))
        if credential is not None:
            return restrict_scopes(await self._verify_credential(credential), service), body
        assert organization_id is not None
        customer: Principal = await self._in_thread(principal_for, service, organization_id)
        return customer, body

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await asyncio.wait_for(in_thread(self._threads, function, *arguments), LOAD_SECONDS)
        except (*executor.UNREACHABLE_ERRORS, TimeoutError):
            raise TemporarilyUnavailable(retry_after=1) from None


def _load(known: PrincipalCache, raw: str) -> Principal:
    principal = known.load(raw)
    # The request needs the entitlements next. Reading them here saves a second round trip to a thread.
    read_entitlements(principal)
    return principal
