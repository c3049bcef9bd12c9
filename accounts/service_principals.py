"""From a presented service key to what it may do, and from the customer that a request names to the caller it acts for."""

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import msgspec

from contextmcp.common.clock import now

from . import keys
from .errors import CustomerNotFound, CustomerRequired, KeyExpired, KeyNotFound, KeyRevoked
from .last_use import FLUSH_SECONDS, service_last_use
from .models import Organization, ServiceKey
from .principals import memory_digest
from .revocations import Notice, watcher
from .types import Caller, Principal, ServicePrincipal
from .verification import verifier

SCOPES = ("usage:write", "usage:read", "entitlements:read")
CREDENTIAL_HEADER = "ContextMCP-Credential"
ORGANIZATION_HEADER = "ContextMCP-Organization"
NAMING_HEADERS = (CREDENTIAL_HEADER, ORGANIZATION_HEADER)
_NOBODY = UUID(int=0)
_MOST = 1_000
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ServiceKeyCache:
    """The service keys that this process has verified. Thread-safe; it holds digests, not keys."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._lock = threading.Lock()
        self._known: dict[bytes, ServicePrincipal] = {}
        self._changes = 0

    def get(self, raw: str) -> ServicePrincipal | None:
        """Return the remembered principal, or None if the database has to be asked. Never waits."""
        if not watcher.fresh():
            return None
        found = self._known.get(memory_digest(raw))
        if found is None or (found.expires_at is not None and found.expires_at <= now()):
            return None
        service_last_use.note(found.key_id, time.time())
        return found

    def load(self, raw: str) -> ServicePrincipal:
        """Ask the database and remember. Raises the refusal. Blocks."""
        presented = keys.parse_service_key(raw)
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
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[memory_digest(raw)] = principal
        service_last_use.note(row.pk)
        return principal

    def hear(self, notice: Notice) -> None:
        """Forget everything when any service key changed: there are few."""
        if notice.kind in {"service_key", "start", "fork"}:
            with self._lock:
                self._changes += 1
                self._known.clear()


service_keys = ServiceKeyCache()
watcher.subscribe(service_keys.hear)
watcher.chore(FLUSH_SECONDS, service_last_use.flush)


def name_customer(
    headers: Mapping[str, str], query: Mapping[str, str], body: bytes, content_type: str
) -> tuple[str | None, UUID | None, bytes]:
    """Return the credential or the organization that the request names, and the body without these fields.

    Headers name the customer of any request. A JSON object may do it in its fields `credential` and `organizationId`, and a request without
    a body in the query parameter `organizationId`. Raises `CustomerRequired` or `CustomerNotFound`.
    """
    named = [(True, headers.get(CREDENTIAL_HEADER)), (False, headers.get(ORGANIZATION_HEADER))]
    if not body:
        named.append((False, query.get("organizationId")))
    elif content_type.partition(";")[0].strip().lower() in {"", "application/json"} and body.lstrip()[:1] == b"{":
        body = _without_names(body, named)
    said = [(is_credential, value) for is_credential, value in named if value is not None]
    if len(said) != 1:
        raise CustomerRequired
    is_credential, value = said[0]
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
        # The reader of the body says what is wrong with it, if the customer is named by a header.
        return body
    return msgspec.json.encode(fields)


def open_organization(organization_id: UUID) -> Organization:
    """Return the organization. Raises `CustomerNotFound` if there is none or it is closed."""
    found = Organization.objects.filter(pk=organization_id, closed_at=None).first()
    if found is None:
        raise CustomerNotFound
    return found


def caller_for(service: ServicePrincipal, organization: Organization) -> Caller:
    return Caller(organization, None, None, "service", service.scopes, frozenset(), service=service)


def principal_for(service: ServicePrincipal, organization_id: UUID) -> Principal:
    """Return the same as `caller_for` as plain data. Blocks."""
    organization = open_organization(organization_id)
    return Principal(
        key_id=_NOBODY,
        organization_id=organization.pk,
        user_id=0,
        membership_id=_NOBODY,
        role="service",
        granted=service.scopes,
        scopes=service.scopes,
        permissions=frozenset(),
        expires_at=None,
        clock_offset=organization.clock_offset,
        organization_created_at=organization.created_at,
    )


def bounded(customer: Principal, service: ServicePrincipal) -> Principal:
    """Return the customer's principal with the scopes that the service key has too."""
    return replace(customer, granted=customer.granted & service.scopes, scopes=customer.scopes & service.scopes)
