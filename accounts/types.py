"""Who is asking. `Principal` is plain data for hot paths and other processes; `Caller` carries the rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from .errors import InsufficientScope, PermissionDenied, ServiceKeyRequired, SignInRequired
from .models import ApiKey, Membership, Organization, User
from .roles import PERMISSIONS, PRIVILEGED_ROLES, ROLE_SCOPES


def check(
    *,
    scope: str | None,
    permission: str | None,
    role: str,
    granted: frozenset[str] | None,
    scopes: frozenset[str],
    permissions: frozenset[str],
) -> None:
    """Raise the one reason why not. `granted` is what the key was given (None: no key); `scopes` what of it the role allows."""
    if scope is not None and scope not in scopes:
        if granted is not None and scope not in granted:
            raise InsufficientScope(required=scope, scopes=sorted(granted))
        raise PermissionDenied(f"The role {role} does not allow {scope}.", required=scope, role=role)
    if permission is not None and permission not in permissions:
        raise PermissionDenied(f"The role {role} lacks {permission}.", required=permission, role=role)


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a key speaks for. `scopes` is what the key's scopes and its creator's present role both allow."""

    key_id: UUID
    organization_id: UUID
    user_id: int
    membership_id: UUID
    role: str
    granted: frozenset[str]
    scopes: frozenset[str]
    permissions: frozenset[str]
    expires_at: datetime | None
    clock_offset: timedelta
    organization_created_at: datetime

    def require(self, *, scope: str | None = None, permission: str | None = None) -> None:
        """Raise `InsufficientScope` or `PermissionDenied`."""
        check(
            scope=scope,
            permission=permission,
            role=self.role,
            granted=self.granted,
            scopes=self.scopes,
            permissions=self.permissions,
        )


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """A service key that was recognized."""

    key_id: UUID
    scopes: frozenset[str]
    expires_at: datetime | None
    is_authenticated: ClassVar[bool] = True


@dataclass(frozen=True)
class Caller:
    """A member, signed in (`key` is None) or by one of the organization's keys. `scopes` and `permissions` are effective ones."""

    organization: Organization
    user: User | None
    key: ApiKey | None
    role: str
    scopes: frozenset[str]
    permissions: frozenset[str]
    membership_id: UUID | None = None
    # The service key that acts for this customer. `scopes` is then bounded by the scopes of the service key.
    service: ServicePrincipal | None = None

    @classmethod
    def member(cls, membership: Membership, key: ApiKey | None = None) -> "Caller":
        """The caller that this member is, in person or through `key`."""
        allowed = ROLE_SCOPES[membership.role]
        return cls(
            organization=membership.organization,
            user=membership.user,
            key=key,
            role=membership.role,
            scopes=allowed if key is None else allowed & frozenset(key.scopes),
            permissions=PERMISSIONS[membership.role],
            membership_id=membership.pk,
        )

    def require(self, *, scope: str | None = None, permission: str | None = None) -> None:
        """Raise `InsufficientScope` (the key lacks it) or `PermissionDenied` (the role does)."""
        check(
            scope=scope,
            permission=permission,
            role=self.role,
            granted=self._granted(),
            scopes=self.scopes,
            permissions=self.permissions,
        )

    def _granted(self) -> frozenset[str] | None:
        granted = None if self.key is None else frozenset(self.key.scopes)
        if self.service is None:
            return granted
        return self.service.scopes if granted is None else granted & self.service.scopes

    def require_service(self) -> None:
        """Raise `ServiceKeyRequired` unless a service key acts for this customer."""
        if self.service is None:
            raise ServiceKeyRequired

    def require_person_for(self, *roles: str) -> None:
        """Raise `SignInRequired` if an API key would give or take away one of these roles and one of them is privileged."""
        privileged = sorted(PRIVILEGED_ROLES.intersection(roles))
        if self.key is not None and privileged:
            raise SignInRequired(f"An API key cannot give or take away the role {privileged[0]}. Sign in to do it.", role=privileged[0])
