"""The façade of identity: who is asking, and what becomes of organizations, members, keys and invitations.

Methods that take an `actor` ask whether that `Caller` may; a staff user or None (the system) stands above that where the type says so.
"""

from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from .authentication import authenticate_key
from .errors import PermissionDenied
from .models import ApiKey, Invitation, Membership, Organization, User
from .services import api_keys, invitations, members, organizations
from .types import Caller

Actor = TypeVar("Actor", Caller, Caller | User | None)


class AuthManager:
    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    @staticmethod
    def authenticate(raw_key: str) -> Caller:
        """Raises `InvalidKeyFormat`, `EnvironmentMismatch`, `KeyNotFound`, `KeyExpired`, `KeyRevoked`, `PermissionDenied` (orphaned)."""
        return authenticate_key(raw_key)

    @staticmethod
    def clean_name(name: str) -> str:
        """An organization's name as it would be stored. Raises `ValidationFailed`."""
        return organizations.clean_name(name)

    @staticmethod
    def create_organization(user: User, name: str) -> Organization:
        """With `user` as its owner. Raises `ValidationFailed` for a name that is empty, over 100 characters or unprintable."""
        return organizations.create(user, name)

    def as_member(self, user: User) -> Caller:
        """The caller that `user` is here. Raises `PermissionDenied` for a stranger."""
        found = Membership.objects.select_related("organization", "user").filter(organization=self.organization, user=user).first()
        if found is None:
            raise PermissionDenied("You do not belong to this organization.")
        return Caller.member(found)

    def members(self) -> Any:
        """A queryset of memberships with their users, in the order of joining."""
        return Membership.objects.filter(organization=self.organization).select_related("user")

    def invitations(self) -> Any:
        """A queryset of the invitations neither accepted nor revoked."""
        return Invitation.objects.pending().filter(organization=self.organization).select_related("invited_by")

    def keys(self, actor: Caller) -> Any:
        """A queryset of the keys the actor may see: everyone's for admins and owners, else the own."""
        return api_keys.visible(self._here(actor))

    def update(self, actor: Caller | User | None, *, name: str, email: str) -> None:
        organizations.update(self.organization, self._here(actor), name=name, email=email)

    def close(self, actor: Caller | User | None, *, reason: str = "") -> None:
        organizations.close(self.organization, self._here(actor), reason=reason)

    def set_clock(self, offset: timedelta, test_clock_id: str) -> None:
        """Follow the customer's Stripe test clock. Call it inside the transaction that found it out."""
        organizations.set_clock(self.organization, offset, test_clock_id)

    def change_role(self, actor: Caller | User | None, membership_id: UUID, role: str) -> Membership:
        """Raises `NotFound`, `PermissionDenied`, `LastOwner`."""
        return members.change_role(self.organization, self._here(actor), membership_id, role)

    def remove_member(self, actor: Caller | User | None, membership_id: UUID, *, reason: str = "") -> None:
        """Raises `NotFound`, `PermissionDenied`, `LastOwner`."""
        members.remove(self.organization, self._here(actor), membership_id, reason=reason)

    def generate_key(
        self, actor: Caller, name: str, scopes: list[str] | None = None, expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """The key and its text, which is nowhere else. By default it can use the product and read (`DEFAULT_KEY_SCOPES`)."""
        return api_keys.generate(self._here(actor), name, scopes, expires_at)

    def rotate_key(self, actor: Caller, key_id: UUID | None = None, overlap: timedelta = api_keys.DEFAULT_OVERLAP) -> tuple[ApiKey, str]:
        """A successor; the old one ends after `overlap` (0 to 30 days). Raises `NotFound`, `Conflict`, `InsufficientScope`."""
        return api_keys.rotate(self._here(actor), key_id, overlap)

    def revoke_key(self, actor: Caller | User | None, key_id: UUID, *, reason: str = "") -> None:
        api_keys.revoke(self.organization, self._here(actor), key_id, reason=reason)

    def adopt_key(self, actor: Caller, key_id: UUID) -> tuple[ApiKey, str]:
        """Replace a key whose creator left: a successor of the actor's. The old one is revoked."""
        return api_keys.adopt(self._here(actor), key_id)

    def invite(self, actor: Caller, email: str, role: str) -> Invitation:
        """Raises `Conflict` for a member or an open invitation."""
        return invitations.invite(self._here(actor), email, role)

    def resend_invitation(self, actor: Caller, invitation_id: UUID) -> Invitation:
        return invitations.resend(self._here(actor), invitation_id)

    def revoke_invitation(self, actor: Caller, invitation_id: UUID) -> None:
        invitations.revoke(self._here(actor), invitation_id)

    @staticmethod
    def find_invitation(token: str) -> Invitation:
        """What a link offers. Raises `InvitationNotFound`, `InvitationExpired`."""
        return invitations.find(token)

    @staticmethod
    def accept_invitation(token: str, user: User, seat_limit: int | None) -> Membership:
        """Raises also `SeatLimitReached`, `Conflict` (a member already), `PermissionDenied` (sent to another address)."""
        return invitations.accept(token, user, seat_limit)

    def _here(self, actor: Actor) -> Actor:
        """A caller from elsewhere has no say here, whatever their role there."""
        if isinstance(actor, Caller) and actor.organization.pk != self.organization.pk:
            raise PermissionDenied("You do not belong to this organization.")
        return actor
