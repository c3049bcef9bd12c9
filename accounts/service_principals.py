"""Verification of service keys, and the customer that a request with a service key names."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import msgspec

from contextmcp.common.clock import now

from . import key_format
from .errors import CustomerNotFound, CustomerRequired, KeyExpired, KeyNotFound, KeyRevoked
from .invalidation import Invalidation, watcher
from .key_verification import verifier
from .last_use import FLUSH_SECONDS, service_last_use
from .models import Organization, ServiceKey
from .principal_cache import memory_digest
from .types import Caller, Principal, ServicePrincipal

SCOPES = ("usage:write", "usage:read", "entitlements:read")
CREDENTIAL_HEADER = "ContextMCP-Credential"
ORGANIZATION_HEADER = "ContextMCP-Organization"
NAMING_HEADERS = (CREDENTIAL_HEADER, ORGANIZATION_HEADER)
_NO_ID = UUID(int=0)
_MAX_CACHED = 1_000
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ServiceKeyCache:
    """A cache of verified service keys. Thread-safe. It contains digests, not keys."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Discard all entries."""
        self._lock = threading.Lock()
        self._known: dict[bytes, ServicePrincipal] = {}
        self._changes = 0

    def get(self, raw: str) -> ServicePrincipal | None:
        """Return the cached principal, or None if `load` must be called. It does no I/O."""
        if not watcher.is_fresh():
            return None
        principal = self._known.get(memory_digest(raw))
        if principal is None or (principal.expires_at is not None and principal.expires_at <= now()):
            return None
        service_last_use.record(principal.key_id, time.time())
        return principal

    def load(self, raw: str) -> ServicePrincipal:
        """Verify the key with the database and cache the principal. Blocks. Raises `KeyNotFound`, `KeyRevoked` or `KeyExpired`."""
        presented = key_format.parse_service_key(raw)
        watcher.start()
        changes = self._changes
        row = ServiceKey.objects.filter(public_id=presented.public_id).first()
        if row is None:
            raise KeyNotFound
        verifier.verify(raw, row)
        if row.revoked_at is not None:
            raise KeyRevoked
        if row.expires_at is not None and row.expires_at <= now():
            raise KeyExpired(expired_at=row.expires_at)
        principal = ServicePrincipal(row.pk, frozenset(row.scopes), row.expires_at)
        with self._lock:
            if changes == self._changes:
                if len(self._known) >= _MAX_CACHED:
                    self._known.clear()
                self._known[memory_digest(raw)] = principal
        service_last_use.record(row.pk)
        return principal

    def on_invalidation(self, invalidation: Invalidation) -> None:
        """Discard all entries when any service key changes. There are few service keys."""
        if invalidation.kind in {"service_key", "start", "fork"}:
            with self._lock:
                self._changes += 1
                self._known.clear()


service_keys = ServiceKeyCache()
watcher.subscribe(service_keys.on_invalidation)
watcher.periodic(FLUSH_SECONDS, service_last_use.flush)


def name_customer(
    headers: Mapping[str, str], query: Mapping[str, str], body: bytes, content_type: str
) -> tuple[str | None, UUID | None, bytes]:
    """Return the customer's credential or organization ID from a request with a service key, and the body without them.

    Every request can name the customer in a header. Instead, a JSON object can use the fields `credential` and `organizationId`, and a
    request without a body the query parameter `organizationId`. Raises `CustomerRequired` or `CustomerNotFound`.
    """
    named = [(True, headers.get(CREDENTIAL_HEADER)), (False, headers.get(ORGANIZATION_HEADER))]
    if not body:
        named.append((False, query.get("organizationId")))
    elif content_type.partition(";")[0].strip().lower() in {"", "application/json"} and body.lstrip()[:1] == b"{":
        body = _without_names(body, named)
    names = [(is_credential, value) for is_credential, value in named if value is not None]
    if len(names) != 1:
        raise CustomerRequired
    is_credential, value = names[0]
    if is_credential:
        return value, None, body
    try:
        return None, UUID(value), body
    except ValueError:
        raise CustomerNotFound from None


def _without_names(body: bytes, named: list[tuple[bool, str | None]]) -> bytes:
    try:
        fields = _fields.decode(body)
        for field, is_credential in (("credential", True), ("organizationId", False)):
            if field in fields:
                named.append((is_credential, msgspec.json.decode(fields.pop(field), type=str)))
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The endpoint reports the malformed body, provided that a header names the customer.
        return body
    return msgspec.json.encode(fields)


def open_organization(organization_id: UUID) -> Organization:
    """Return the organization. Raises `CustomerNotFound` if there is none or it is closed."""
    organization = Organization.objects.filter(pk=organization_id, closed_at=None).first()
    if organization is None:
        raise CustomerNotFound
    return organization


def caller_for(service: ServicePrincipal, organization: Organization) -> Caller:
    return Caller(organization, None, None, "service", service.scopes, frozenset(), service=service)


def principal_for(service: ServicePrincipal, organization_id: UUID) -> Principal:
    """Return the principal of a service key that acts for an open organization. Blocks for a query."""
    organization = open_organization(organization_id)
    return Principal(
        key_id=_NO_ID,
        organization_id=organization.pk,
        user_id=0,
        membership_id=_NO_ID,
        role="service",
        key_scopes=service.scopes,
        scopes=service.scopes,
        permissions=frozenset(),
        expires_at=None,
        clock_offset=organization.clock_offset,
        organization_created_at=organization.created_at,
    )


def restrict_scopes(customer: Principal, service: ServicePrincipal) -> Principal:
    """Return the customer's principal with only the scopes that the service key also has."""
    return replace(customer, key_scopes=customer.key_scopes & service.scopes, scopes=customer.scopes & service.scopes)
