"""Assertions: signed statements for upstream servers about the caller of a request.

The client's credential never leaves the gateway. An upstream server that needs to know the caller verifies the assertion with the keys at
`/.well-known/jwks.json` and compares the audience with its own address.

A signature takes 70 microseconds of the event loop. Requests that are charged take a millisecond or more, and get an assertion of their
own with the ID of the request. All others share the caller's assertion for half of its lifetime.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.types import Principal
from contextmcp.common import signing
from contextmcp.common.errors import DomainError
from entitlements.types import Entitlements
from usage.operations.caller import UsageCaller

HEADER = b"x-contextmcp-assertion"
TOKEN_TYPE = "mcp-assertion+jwt"  # noqa: S105 - a media type
LIFETIME = timedelta(seconds=60)
# An assertion is shared for this time. When it is sent, it is valid for at least the rest of its lifetime.
SHARED_SECONDS = 30.0
MAX_SHARED = 10_000


class Assertions:
    """Signs the assertions of one process. `entitlements` returns the entitlements of a caller."""

    def __init__(self, entitlements: Callable[[UsageCaller], Awaitable[Entitlements]]) -> None:
        self._entitlements = entitlements
        self._shared: dict[tuple[str, UUID, int, str | None], tuple[float, bytes]] = {}

    async def headers(self, principal: Principal, caller: UsageCaller, audience: str, request_id: str | None) -> list[tuple[bytes, bytes]]:
        """Return the header with the assertion, or none without a signing key.

        Args:
            principal: the caller of the request. caller: the same caller, in the form that the usage operations take. audience: the URL of
            the upstream server. request_id: the ID of a request that is charged, or None for an assertion that other requests may share.
        """
        if not settings.SIGNING_KEYS:
            return []
        try:
            plan: str | None = (await self._entitlements(caller)).plan
        except DomainError:
            # The reserved call continues without the name of the plan.
            plan = None
        if request_id is not None:
            return [(HEADER, _sign(principal, plan, audience, {"request_id": request_id}))]
        return [(HEADER, self._share(principal, plan, audience))]

    def _share(self, principal: Principal, plan: str | None, audience: str) -> bytes:
        key, present = (audience, principal.organization_id, principal.user_id, plan), time.monotonic()
        shared = self._shared.get(key)
        if shared is None or present - shared[0] >= SHARED_SECONDS:
            if len(self._shared) >= MAX_SHARED:
                self._shared.clear()
            shared = self._shared[key] = present, _sign(principal, plan, audience, {})
        return shared[1]


def _sign(principal: Principal, plan: str | None, audience: str, more: dict[str, Any]) -> bytes:
    claims = {"aud": audience, "sub": str(principal.user_id), "organization": str(principal.organization_id), "plan": plan, **more}
    return signing.sign(claims, LIFETIME, token_type=TOKEN_TYPE).encode()
