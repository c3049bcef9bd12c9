"""Identify the customer whose credential an MCP client has sent. Shared by the adapters' token verifiers."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict

from .async_client import AsyncClient
from .operations import OUTAGES
from .refusals import (
    CustomerNotFound,
    EnvironmentMismatch,
    InvalidKeyFormat,
    KeyExpired,
    KeyNotFound,
    KeyRevoked,
    PermissionDenied,
    TokenExpired,
    TokenForOtherResource,
    TokenNotFound,
)
from .types import Customer, Entitlements

# The service's response is cached for this many seconds. A revoked key may use free tools for that time.
CACHE_SECONDS = 1.0
# The response is cached for this many seconds while the service is unavailable. Calls that cost something are then decided by the client's
# failure mode.
OUTAGE_SECONDS = 3_600.0
MAX_CACHED, MAX_LENGTH = 10_000, 512
_NOT_ACCEPTED = (
    CustomerNotFound,
    EnvironmentMismatch,
    InvalidKeyFormat,
    KeyExpired,
    KeyNotFound,
    KeyRevoked,
    PermissionDenied,
    TokenExpired,
    TokenForOtherResource,
    TokenNotFound,
)


class CredentialVerifier:
    """Verifies customers' credentials with a service key."""

    def __init__(self, client: AsyncClient, *, cache_seconds: float = CACHE_SECONDS) -> None:
        self._client, self._seconds = client, cache_seconds
        # Cached entries by the digest of the credential, so that the memory of this process contains no list of credentials.
        self._cache: OrderedDict[bytes, tuple[float, Entitlements]] = OrderedDict()

    async def verify(self, credential: str) -> Entitlements | None:
        """Return the entitlements of the credential's customer, or None if the credential is not accepted.

        Raises:
            ContextMCPError: the service is unavailable and the credential was not verified recently, or the service key is refused.
        """
        if len(credential) > MAX_LENGTH or not (credential.isascii() and credential.isprintable()):
            # Valid credentials are shorter and consist of printable ASCII characters. An HTTP header could not contain other characters.
            return None
        digest = hashlib.sha256(credential.encode()).digest()
        cached = self._cache.get(digest)
        if cached is not None and time.monotonic() - cached[0] < self._seconds:
            return cached[1]
        try:
            entitlements = await self._client.entitlements(customer=Customer(credential))
        except _NOT_ACCEPTED:
            self._cache.pop(digest, None)
            return None
        except OUTAGES:
            if cached is not None and time.monotonic() - cached[0] < OUTAGE_SECONDS:
                return cached[1]
            raise
        self._cache[digest] = (time.monotonic(), entitlements)
        self._cache.move_to_end(digest)
        while len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return entitlements
