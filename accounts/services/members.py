"""Change roles and remove members."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_noop as _

from accounts import audit, emails, invalidation
from accounts.errors import LastOwner, OwnershipNotTransferable, OwnRoleNotChangeable, PermissionDenied
from accounts.models import Membership, Organization, User
from accounts.roles import PRIVILEGED_ROLES, Role
from accounts.signals import member_removed
from accounts.types import Caller
from contextmcp.common.errors import NotFound

from .invitations import revoke_unauthorized
from .organizations import locked


def change_role(organization: Organization, actor: Caller | User | None, membership_id: UUID, role: str, *, reason: str = "") -> Membership:
    """Change a member's role. Permissions of a staff user or None as actor are not checked.

    Only an owner can assign or remove the owner role.

    Raises `NotFound`, `PermissionDenied`, `SignInRequired`, `OwnRoleNotChangeable` for staff, `LastOwner`.
    """
    with transaction.atomic():
        locked(organization)
        member = _member(organization, membership_id)
        if isinstance(actor, Caller):
            actor.require(scope="organization:write", permission="users:manage")
            _require_owner_for_owner_role(actor, member.role, role)
            if member.role != role:
                actor.require_person_for(member.role, role)
                actor.require_recent_authentication()
        else:
            _require_other_member(actor, member)
        before, member.role = member.role, role
        if before == role:
            return member
        if before == Role.OWNER:
            _require_other_owner(organization, member)
        member.save(update_fields=["role"])
        audit.record(
            "member.role_changed",
            organization=organization,
            actor=actor,
            target=member.user.email,
            before={"role": before},
            after={"role": role},
            reason=reason,
        )
        revoke_unauthorized(organization, member.user)
        if role in PRIVILEGED_ROLES:
            emails.send_role_notices(member, actor.user if isinstance(actor, Caller) else actor)
        invalidation.notify_now()
    return member


def remove(organization: Organization, actor: Caller | User | None, membership_id: UUID, *, reason: str = "") -> None:
    """Remove a member and disable their keys. Members can leave without a permission, except the last owner.

    Raises `NotFound`, `PermissionDenied`, `SignInRequired`, `LastOwner`.
    """
    with transaction.atomic():
        locked(organization)
        member = _member(organization, membership_id)
        if isinstance(actor, Caller):
            if actor.key is not None or actor.membership_id != member.pk:
                actor.require(scope="organization:write", permission="users:manage")
            _require_owner_for_owner_role(actor, member.role)
            actor.require_person_for(member.role)
            if actor.membership_id != member.pk:
                actor.require_recent_authentication()
        if member.role == Role.OWNER:
            _require_other_owner(organization, member)
        audit.record(
            "member.removed",
            organization=organization,
            actor=actor,
            target=member.user.email,
            before={"role": member.role},
            after={"role": None},
            reason=reason,
        )
        member.delete()
        revoke_unauthorized(organization, member.user)
        member_removed.send(sender=Membership, organization=organization, user=member.user)
        invalidation.notify_now()


def transfer_ownership(organization: Organization, actor: Caller | User, from_id: UUID, to_id: UUID, *, reason: str = "") -> Membership:
    """Make a member an owner and the present owner `from_id` an admin. All owners are notified. Return the new owner's membership.

    A member as actor can transfer only their own ownership. Raises `NotFound`, `PermissionDenied`, `SignInRequired`,
    `ReauthenticationRequired`, and `OwnershipNotTransferable` if the memberships are not an owner and another active member.
    """
    with transaction.atomic():
        locked(organization)
        former, new = _member(organization, from_id), _member(organization, to_id)
        if isinstance(actor, Caller):
            actor.require(scope="organization:write", permission="organization:manage")
            actor.require_person_for(Role.OWNER)
            actor.require_recent_authentication()
            if former.pk != actor.membership_id:
                raise OwnershipNotTransferable
        if former.role != Role.OWNER or new.role == Role.OWNER or not new.user.is_active:
            raise OwnershipNotTransferable
        if isinstance(actor, User):
            _require_other_member(actor, new)
        before = {former.user.email: former.role, new.user.email: new.role}
        new.role, former.role = Role.OWNER, Role.ADMIN
        new.save(update_fields=["role"])
        former.save(update_fields=["role"])
        audit.record(
            "member.ownership_transferred",
            organization=organization,
            actor=actor,
            target=new.user.email,
            before=before,
            after={former.user.email: former.role, new.user.email: new.role},
            reason=reason,
        )
        revoke_unauthorized(organization, former.user)
        emails.send_role_notices(new, actor.user if isinstance(actor, Caller) else actor)
        invalidation.notify_now()
    return new


def _member(organization: Organization, membership_id: UUID) -> Membership:
    member = Membership.objects.select_related("user", "organization").filter(organization=organization, pk=membership_id).first()
    if member is None:
        raise NotFound
    return member


def _require_other_member(actor: User | None, member: Membership) -> None:
    """Raise `OwnRoleNotChangeable` if a staff user tries to change their own role.

    Staff can change their own role only as a member, with the permissions of a member.
    """
    if actor is not None and member.user_id == actor.pk:
        raise OwnRoleNotChangeable


def _require_owner_for_owner_role(actor: Caller, *roles: str) -> None:
    if Role.OWNER in roles and "organization:manage" not in actor.permissions:
        raise PermissionDenied(_("Only an owner can assign or remove the owner role."), required="organization:manage", role=actor.role)


def _require_other_owner(organization: Organization, member: Membership) -> None:
    if not Membership.objects.filter(organization=organization, role=Role.OWNER).exclude(pk=member.pk).exists():
        raise LastOwner
