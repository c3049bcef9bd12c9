"""Types for the caller of a request. `Principal` is plain data for the gate and other hot paths; `Caller` has the model rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple
from uuid import UUID

from .errors import InsufficientScope, PermissionDenied, ReauthenticationRequired, ServiceKeyRequired, SignInRequired
from .models import ApiKey, Membership, Organization, User
from .roles import PERMISSIONS, PRIVILEGED_ROLES, ROLE_SCOPES


class SeatLimit(NamedTuple):
    """The maximum number of members of a plan, and the name of the feature that limits it."""

    feature: str
    limit: int


class Setup(NamedTuple):
    """How far a member has set up the organization. `has_used_app` tells whether an app that the member sees has made a call."""

    is_dismissed: bool
    has_confirmed_email: bool
    has_used_app: bool
    has_invited: bool


def check_access(
    *,
    scope: str | None,
    permission: str | None,
    role: str,
    key_scopes: frozenset[str] | None,
    scopes: frozenset[str],
    permissions: frozenset[str],
) -> None:
    """Raise `InsufficientScope` or `PermissionDenied` if a scope or permission is missing.

    `key_scopes` are the scopes of the key (None without a key). `scopes` are those of them that the role also allows.
    """
    if scope is not None and scope not in scopes:
        if key_scopes is not None and scope not in key_scopes:
            raise InsufficientScope(required=scope, scopes=sorted(key_scopes))
        raise PermissionDenied(f"The role {role} does not allow {scope}.", required=scope, role=role)
    if permission is not None and permission not in permissions:
        raise PermissionDenied(f"The role {role} lacks {permission}.", required=permission, role=role)


@dataclass(frozen=True, slots=True)
class Principal:
    """The identity and permissions of an API key. `scopes` are those that both the key and its creator's current role allow."""

    key_id: UUID
    organization_id: UUID
    user_id: int
    membership_id: UUID
    role: str
    key_scopes: frozenset[str]
    scopes: frozenset[str]
    permissions: frozenset[str]
    expires_at: datetime | None
    clock_offset: timedelta
    organization_created_at: datetime
    # Whether `key_id` is the ID of a connected app, not of an API key.
    is_connected_app: ClassVar[bool] = False

    def require(self, *, scope: str | None = None, permission: str | None = None) -> None:
        """Raise `InsufficientScope` or `PermissionDenied`."""
        if permission is None and scope in self.scopes:
            return
        check_access(
            scope=scope,
            permission=permission,
            role=self.role,
            key_scopes=self.key_scopes,
            scopes=self.scopes,
            permissions=self.permissions,
        )


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """A verified service key."""

    key_id: UUID
    scopes: frozenset[str]
    expires_at: datetime | None
    is_authenticated: ClassVar[bool] = True


@dataclass(frozen=True)
class Caller:
    """A signed-in member (`key` is None), an API key or a service key. `scopes` and `permissions` are those of the request."""

    organization: Organization
    user: User | None
    key: ApiKey | None
    role: str
    scopes: frozenset[str]
    permissions: frozenset[str]
    membership_id: UUID | None = None
    # The connected app that acts for the member, if a request with a service key contains its access token. Usage is recorded for the app
    # as it is for a key.
    grant_id: UUID | None = None
    # The service key that acts for this customer, or None. `scopes` contains only scopes that the service key also has.
    service: ServicePrincipal | None = None
    # A function that returns whether the user must authenticate again before a sensitive change. None for callers without a session.
    must_reauthenticate: Callable[[], bool] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def member(cls, membership: Membership, key: ApiKey | None = None, must_reauthenticate: Callable[[], bool] | None = None) -> "Caller":
        """Return the caller for a member, signed in or using `key`."""
        allowed = ROLE_SCOPES[membership.role]
        return cls(
            organization=membership.organization,
            user=membership.user,
            key=key,
            role=membership.role,
            scopes=allowed if key is None else allowed & frozenset(key.scopes),
            permissions=PERMISSIONS[membership.role],
            membership_id=membership.pk,
            must_reauthenticate=must_reauthenticate,
        )

    def require(self, *, scope: str | None = None, permission: str | None = None) -> None:
        """Raise `InsufficientScope` if the key lacks the scope, `PermissionDenied` if the role does not allow it."""
        check_access(
            scope=scope,
            permission=permission,
            role=self.role,
            key_scopes=self._key_scopes(),
            scopes=self.scopes,
            permissions=self.permissions,
        )

    def _key_scopes(self) -> frozenset[str] | None:
        granted = None if self.key is None else frozenset(self.key.scopes)
        if self.service is None:
            return granted
        return self.service.scopes if granted is None else granted & self.service.scopes

    def require_service(self) -> None:
        """Raise `ServiceKeyRequired` if the caller is not a service key."""
        if self.service is None:
            raise ServiceKeyRequired

    def require_recent_authentication(self) -> None:
        """Raise `ReauthenticationRequired` if the session's last authentication is too old (ASVS 3.7.1).

        API keys are not refused, because their scopes limit what a stolen key can do.
        """
        if self.must_reauthenticate is not None and self.must_reauthenticate():
            raise ReauthenticationRequired

    def require_person_for(self, *roles: str) -> None:
        """Raise `SignInRequired` if the caller is an API key and one of the roles to assign or remove is privileged."""
        privileged = sorted(PRIVILEGED_ROLES.intersection(roles))
        if self.key is not None and privileged:
            raise SignInRequired(
                f"An API key cannot assign or remove the role {privileged[0]}. Sign in to make this change.", role=privileged[0]
            )
