"""The caller for whom an operation runs, and the entitlements of its organization."""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from accounts.models import Organization
from accounts.selectors import team_members_count
from accounts.types import Caller, Principal, ServicePrincipal
from contextmcp.common.clock import now
from entitlements.manager import EntitlementsManager
from entitlements.types import Entitlements
from usage.errors import TemporarilyUnavailable
from usage.types import NO_KEY, NO_MEMBER, ServiceContext, UsageSubject

from .effects import CallDatabase, DatabaseUnreachable, Operation

_NO_OFFSET = timedelta()


class UsageCaller(Struct, frozen=True):
    """The organization whose usage is read or counted, and the key and member that it is counted for."""

    organization_id: UUID
    subject: UsageSubject
    clock_offset: timedelta
    organization_created_at: datetime
    # The service key that acts for the organization, or None. Its corrections are written to the audit log.
    service: ServiceContext | None = None

    @classmethod
    def of_caller(cls, caller: Caller, request_id: str = "", address: str | None = None) -> "UsageCaller":
        """Return the caller for a request to Django. The request's ID and the client's address are written to the audit log."""
        organization, key, user, service = caller.organization, caller.key, caller.user, caller.service
        return cls(
            organization.pk,
            UsageSubject.of(
                organization.pk,
                key.pk if key else caller.grant_id or NO_KEY,
                user.pk if user else NO_MEMBER,
                connected_app=key is None and caller.grant_id is not None,
            ),
            organization.clock_offset,
            organization.created_at,
            None if service is None else ServiceContext(service.key_id, request_id, address),
        )

    @classmethod
    def of_principal(
        cls, principal: Principal, service: ServicePrincipal | None = None, request_id: str = "", address: str | None = None
    ) -> "UsageCaller":
        """Return the caller for a verified key or token. `service` is the service key that acts for the principal, or None."""
        return cls(
            principal.organization_id,
            UsageSubject.of(principal.organization_id, principal.key_id, principal.user_id, connected_app=principal.is_connected_app),
            principal.clock_offset,
            principal.organization_created_at,
            None if service is None else ServiceContext(service.key_id, request_id, address),
        )

    def time(self, real: datetime) -> datetime:
        """Convert the real time `real` to the organization's time. They differ if the organization has a test clock."""
        return real if self.clock_offset == _NO_OFFSET else real + self.clock_offset

    def now(self) -> datetime:
        """Return the organization's current time."""
        return self.time(now())


def read_entitlements(caller: UsageCaller | Principal) -> Entitlements:
    """Return the current entitlements of the caller's organization. Blocks on the database unless they are cached.

    The organization's creation time and clock come from the caller; whether it is closed is read from the database.
    """
    return EntitlementsManager(_organization(caller)).entitlements()


def count_members(caller: UsageCaller) -> int:
    """Return the number of members of the caller's organization. Blocks on the database."""
    return team_members_count(_organization(caller))


def _organization(caller: UsageCaller | Principal) -> Organization:
    return Organization(pk=caller.organization_id, created_at=caller.organization_created_at, clock_offset=caller.clock_offset)


def load_entitlements(caller: UsageCaller, at: datetime) -> Operation[Entitlements]:
    """Read the entitlements. If PostgreSQL is unreachable, use cached entitlements of any age, if they apply at the time `at`.

    Callers first try `EntitlementsManager.cached`, which is sufficient for most calls.
    """
    try:
        entitlements: Entitlements = yield CallDatabase(read_entitlements, (caller,))
    except DatabaseUnreachable:
        stale = EntitlementsManager.cached(caller.organization_id, at, stale=True)
        if stale is None:
            raise TemporarilyUnavailable(retry_after=1) from None
        return stale
    return entitlements


def call_database(effect: CallDatabase) -> Operation[object]:
    """Yield the effect and return its result. Raises `TemporarilyUnavailable` if PostgreSQL is unreachable."""
    try:
        return (yield effect)
    except DatabaseUnreachable:
        raise TemporarilyUnavailable(retry_after=1) from None
