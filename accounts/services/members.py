"""Changing roles, removing members."""

from uuid import UUID

from django.db import transaction

from accounts import audit, mail, revocations
from accounts.errors import LastOwner, PermissionDenied
from accounts.models import Membership, Organization, User
from accounts.roles import PRIVILEGED_ROLES, Role
from accounts.signals import member_removed
from accounts.types import Caller
from contextmcp.common.errors import NotFound

from .invitations import revoke_unauthorized
from .organizations import locked


def change_role(organization: Organization, actor: Caller | User | None, membership_id: UUID, role: str) -> Membership:
    """Only an owner makes or unmakes owners, and the last one stays. A staff user or None as actor is not asked for permission."""
    with transaction.atomic():
        locked(organization)
        member = _member(organization, membership_id)
        if isinstance(actor, Caller):
            actor.require(scope="organization:write", permission="users:manage")
            _only_owners_touch_owners(actor, member.role, role)
            if member.role != role:
                actor.require_person_for(member.role, role)
        before, member.role = member.role, role
        if before == role:
            return member
        if before == Role.OWNER:
            _someone_else_owns(organization, member)
        member.save(update_fields=["role"])
        audit.record(
            "member.role_changed",
            organization=organization,
            actor=actor,
            target=member.user.email,
            before={"role": before},
            after={"role": role},
        )
        revoke_unauthorized(organization, member.user)
        if role in PRIVILEGED_ROLES:
            mail.send_role_notices(member, actor.user if isinstance(actor, Caller) else actor)
        revocations.hurry()
    return member


def remove(organization: Organization, actor: Caller | User | None, membership_id: UUID, *, reason: str = "") -> None:
    """The member goes, and their keys stop. Everyone may go by themselves, except the last owner."""
    with transaction.atomic():
        locked(organization)
        member = _member(organization, membership_id)
        if isinstance(actor, Caller):
            if actor.key is not None or actor.membership_id != member.pk:
                actor.require(scope="organization:write", permission="users:manage")
            _only_owners_touch_owners(actor, member.role)
            actor.require_person_for(member.role)
        if member.role == Role.OWNER:
            _someone_else_owns(organization, member)
        audit.record(
            "member.removed",
            organization=organization,
            actor=actor,
            target=member.user.email,
            before={"role": member.role},
            reason=reason,
        )
        member.delete()
        revoke_unauthorized(organization, member.user)
        member_removed.send(sender=Membership, organization=organization, user=member.user)
        revocations.hurry()


def _member(organization: Organization, membership_id: UUID) -> Membership:
    member = Membership.objects.select_related("user", "organization").filter(organization=organization, pk=membership_id).first()
    if member is None:
        raise NotFound
    return member


def _only_owners_touch_owners(actor: Caller, *roles: str) -> None:
    if Role.OWNER in roles and "organization:manage" not in actor.permissions:
        raise PermissionDenied("Only an owner makes or removes owners.", required="organization:manage", role=actor.role)


def _someone_else_owns(organization: Organization, member: Membership) -> None:
    if not Membership.objects.filter(organization=organization, role=Role.OWNER).exclude(pk=member.pk).exists():
        raise LastOwner
