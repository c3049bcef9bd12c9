"""The public interface of the accounts app: authentication, organizations, members, keys and invitations.

Methods with an `actor` check the permissions of a `Caller`. Some methods also accept a `User` (staff) or None (the system)
as `actor`. These actors are not subject to permission checks.
"""

from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.utils.translation import gettext_noop as _

from .authentication import authenticate_key
from .errors import PermissionDenied
from .models import ApiKey, Invitation, Membership, Organization, User
from .services import api_keys, invitations, members, organizations, setup, staff_keys
from .types import Caller, SeatLimit, Setup

Actor = TypeVar("Actor", Caller, Caller | User, Caller | User | None)


class AuthManager:
    """The operations of one organization's identity: keys, members, invitations and the organization itself."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization

    @staticmethod
    def authenticate(raw_key: str) -> Caller:
        """Return the caller of an API key.

        Raises `InvalidKeyFormat`, `EnvironmentMismatch`, `KeyNotFound`, `KeyExpired`, `KeyRevoked`, or `PermissionDenied` (orphaned key).
        """
        return authenticate_key(raw_key)

    @staticmethod
    def clean_name(name: str) -> str:
        """Return the normalized name of an organization. Raises `ValidationFailed`."""
        return organizations.clean_name(name)

    @staticmethod
    def create_organization(user: User, name: str) -> Organization:
        """Create an organization with `user` as its owner. Raises `ValidationFailed` for an invalid name, `OrganizationLimitReached`."""
        return organizations.create(user, name)

    @staticmethod
    def organizations_of(user: User, *, closed: bool = False) -> list[Organization]:
        """Return the user's open organizations by name, or with `closed` the closed organizations whose invoices the user may see."""
        return organizations.of_user(user, closed=closed)

    def as_member(self, user: User) -> Caller:
        """Return `user` as a caller of this organization. Raises `PermissionDenied` if they are not a member."""
        membership = Membership.objects.select_related("organization", "user").filter(organization=self.organization, user=user).first()
        if membership is None:
            raise PermissionDenied(_("You are not a member of this organization."))
        return Caller.member(membership)

    def members(self) -> Any:
        """Return a queryset of memberships with their users, in the order in which the users joined."""
        return Membership.objects.filter(organization=self.organization).select_related("user")

    def invitations(self) -> Any:
        """Return a queryset of the pending invitations (neither accepted nor revoked)."""
        return Invitation.objects.pending().filter(organization=self.organization).select_related("invited_by")

    def setup(self, actor: Caller) -> Setup:
        """Return how far the member has set up the organization."""
        return setup.read_setup(self._checked(actor))

    def dismiss_setup(self, actor: Caller) -> None:
        """Hide the steps to set up the organization from this member."""
        setup.dismiss_setup(self._checked(actor))

    def keys(self, actor: Caller) -> Any:
        """Return a queryset of the keys that the actor may see: all for admins and owners, otherwise their own."""
        return api_keys.visible_keys(self._checked(actor))

    def update(self, actor: Caller | User | None, *, name: str, email: str, reason: str = "") -> None:
        """Set the organization's name and billing email address. Raises `ValidationFailed`, `PermissionDenied`."""
        organizations.update(self.organization, self._checked(actor), name=name, email=email, reason=reason)

    def close(self, actor: Caller | User | None, *, reason: str = "") -> None:
        """Close the organization; its keys, invitations and members lose access. Raises `PermissionDenied`, `ReauthenticationRequired`."""
        organizations.close(self.organization, self._checked(actor), reason=reason)

    def set_clock(self, offset: timedelta, test_clock_id: str) -> None:
        """Set the offset of the customer's Stripe test clock. Call it in the transaction of the sync that read it."""
        organizations.set_clock(self.organization, offset, test_clock_id)

    def reopen(self, actor: User, *, reason: str) -> None:
        """Reopen a closed organization. Keys, invitations and the subscription stay ended. Raises `OrganizationOpen`."""
        organizations.reopen(self.organization, actor, reason=reason)

    def change_role(self, actor: Caller | User | None, membership_id: UUID, role: str, *, reason: str = "") -> Membership:
        """Change a member's role. Raises `NotFound`, `PermissionDenied`, `SignInRequired`, `LastOwner`."""
        return members.change_role(self.organization, self._checked(actor), membership_id, role, reason=reason)

    def transfer_ownership(self, actor: Caller | User, from_id: UUID, to_id: UUID, *, reason: str = "") -> Membership:
        """Make a member an owner, and an owner an admin. A member as actor transfers their own ownership.

        Raises `NotFound`, `PermissionDenied`, `SignInRequired`, `ReauthenticationRequired`, `OwnershipNotTransferable`.
        """
        checked = self._checked(actor) if isinstance(actor, Caller) else actor
        return members.transfer_ownership(self.organization, checked, from_id, to_id, reason=reason)

    def remove_member(self, actor: Caller | User | None, membership_id: UUID, *, reason: str = "") -> None:
        """Remove a member and disable their keys. Raises `NotFound`, `PermissionDenied`, `SignInRequired`, `LastOwner`."""
        members.remove(self.organization, self._checked(actor), membership_id, reason=reason)

    def generate_key(
        self, actor: Caller, name: str, scopes: list[str] | None = None, expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """Create a key and return it with its text, which is not stored. Default scopes: `DEFAULT_KEY_SCOPES`."""
        return api_keys.generate_key(self._checked(actor), name, scopes, expires_at)

    def rotate_key(self, actor: Caller, key_id: UUID | None = None, overlap: timedelta = api_keys.DEFAULT_OVERLAP) -> tuple[ApiKey, str]:
        """Create a successor; the old key expires after `overlap` (0 to 30 days). Raises `NotFound`, a `Conflict`, `InsufficientScope`."""
        return api_keys.rotate_key(self._checked(actor), key_id, overlap)

    def revoke_key(self, actor: Caller | User | None, key_id: UUID, *, reason: str = "") -> None:
        """Revoke a key in all processes within a second. Idempotent. Raises `NotFound`, `PermissionDenied`."""
        api_keys.revoke_key(self.organization, self._checked(actor), key_id, reason=reason)

    def revoke_all_keys(self, actor: User, *, reason: str) -> int:
        """Revoke all keys in all processes within a second. Return their number. Raises `NoKeysSelected`."""
        return staff_keys.revoke_all_keys(self.organization, actor, reason=reason)

    def reassign_keys(self, actor: User, key_ids: list[UUID], membership_id: UUID, *, reason: str) -> int:
        """Give keys to another member, whose role then limits them. Return their number. Raises `NotFound`, `NoKeysSelected`."""
        return staff_keys.reassign_keys(self.organization, actor, key_ids, membership_id, reason=reason)

    def take_over_key(self, actor: Caller, key_id: UUID) -> tuple[ApiKey, str]:
        """Replace a key whose creator left with a new key of the actor. The old key is revoked."""
        return api_keys.take_over_key(self._checked(actor), key_id)

    def invite(self, actor: Caller, email: str, role: str) -> Invitation:
        """Create an invitation and email its link. Raises `AlreadyMember`, `AlreadyInvited`, `SeatLimitReached`, `HourlyLimitReached`."""
        return invitations.invite(self._checked(actor), email, role)

    def resend_invitation(self, actor: Caller | User, invitation_id: UUID, *, reason: str = "") -> Invitation:
        """Send an invitation again. The new link replaces the old one. Raises `NotFound`, `SeatLimitReached`, `HourlyLimitReached`."""
        return invitations.resend(self.organization, self._checked(actor), invitation_id, reason=reason)

    def extend_invitation(self, actor: User, invitation_id: UUID, *, reason: str) -> Invitation:
        """Extend the invitation: its link works for a week from now. Raises `NotFound`, `InviterNotAllowed`, `SeatLimitReached`."""
        return invitations.extend(self.organization, actor, invitation_id, reason=reason)

    def revoke_invitation(self, actor: Caller | User, invitation_id: UUID, *, reason: str = "") -> None:
        """Revoke an invitation, so that its link no longer works. Raises `NotFound`, `PermissionDenied`."""
        invitations.revoke(self.organization, self._checked(actor), invitation_id, reason=reason)

    @staticmethod
    def find_invitation(token: str) -> Invitation:
        """Return the invitation of a link. Raises `InvitationNotFound`, `InvitationExpired`."""
        return invitations.find(token)

    @staticmethod
    def joined_with(token: str, user: User) -> Organization | None:
        """Return the organization that the user joined with this invitation and still belongs to, or None."""
        return invitations.joined_with(token, user)

    @staticmethod
    def accept_invitation(token: str, user: User, seat_limit: SeatLimit | None) -> Membership:
        """Make `user` a member. Raises the errors of `find_invitation`, and `SeatLimitReached`, `AlreadyMember`, `PermissionDenied`."""
        return invitations.accept(token, user, seat_limit)

    def _checked(self, actor: Actor) -> Actor:
        """Return `actor`. Raises `PermissionDenied` for a caller of another organization."""
        if isinstance(actor, Caller) and actor.organization.pk != self.organization.pk:
            raise PermissionDenied(_("You are not a member of this organization."))
        return actor
