"""Inviting by mail, and accepting.

The row of an invitation holds a digest of its token. The token itself is in the stored mail until that is delivered, and nowhere else.
"""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from accounts import audit, mail
from accounts.errors import EmailNotConfirmed, InvitationExpired, InvitationNotFound, PermissionDenied, SeatLimitReached
from accounts.models import Invitation, Membership, Organization, User
from accounts.roles import PERMISSIONS, PRIVILEGED_ROLES, Role
from accounts.selectors import has_confirmed_email
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict, NotFound

from .invitation_limits import check_invitation_limits
from .organizations import locked

LIFETIME = timedelta(days=7)


def digest(token: str) -> bytes:
    """What is stored of a token. It is 256 random bits, so one round of SHA-256 hides it."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def invite(actor: Caller, email: str, role: str) -> Invitation:
    """Offer membership and mail the link. Open invitations count as seats; acceptance asks for a seat again.

    Raises `PermissionDenied`, `SignInRequired`, `EmailNotConfirmed`, `SeatLimitReached`, `HourlyLimitReached`, `Conflict`.
    """
    _may_invite(actor, role)
    seat_limit = _seat_limit(actor.organization)
    organization, email = actor.organization, email.strip().lower()
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        locked(organization)
        if Membership.objects.filter(organization=organization, user__email__iexact=email).exists():
            raise Conflict(f"{email} is a member already.")
        pending = Invitation.objects.pending().filter(organization=organization, email__iexact=email).first()
        if pending is not None and pending.expires_at > now(organization):
            raise Conflict(f"{email} is invited already. Resend that invitation, or revoke it first.")
        if pending is not None:
            _end(pending)
        _check_seats(organization, seat_limit)
        check_invitation_limits(organization, actor.user, email)
        invitation = Invitation.objects.create(
            organization=organization,
            email=email,
            role=role,
            token_digest=digest(token),
            invited_by=actor.user,
            expires_at=now(organization) + LIFETIME,
        )
        audit.record("invitation.created", organization=organization, actor=actor, target=email, after={"role": role})
        mail.send_invitation(invitation, token)
    return invitation


def resend(actor: Caller, invitation_id: UUID) -> Invitation:
    """Mail a new link with a new lifetime; the old one stops. It becomes the actor's invitation. Raises as `invite`, and `NotFound`."""
    token = secrets.token_urlsafe(32)
    seat_limit = _seat_limit(actor.organization)
    with transaction.atomic():
        locked(actor.organization)
        invitation = _pending(actor, invitation_id)
        _may_invite(actor, invitation.role)
        _check_seats(actor.organization, seat_limit, but=invitation)
        check_invitation_limits(actor.organization, actor.user, invitation.email)
        before = invitation.expires_at.isoformat()
        invitation.token_digest = digest(token)
        invitation.expires_at = now(actor.organization) + LIFETIME
        invitation.sent_at = None
        invitation.invited_by = actor.user
        invitation.save(update_fields=["token_digest", "expires_at", "sent_at", "invited_by"])
        audit.record(
            "invitation.resent",
            organization=actor.organization,
            actor=actor,
            target=invitation.email,
            before={"expires_at": before},
            after={"expires_at": invitation.expires_at.isoformat()},
        )
        mail.send_invitation(invitation, token)
    return invitation


def revoke(actor: Caller, invitation_id: UUID) -> None:
    """Its link stops."""
    with transaction.atomic():
        invitation = _pending(actor, invitation_id)
        _may_manage(actor, invitation.role)
        _end(invitation)
        audit.record("invitation.revoked", organization=actor.organization, actor=actor, target=invitation.email)


def find(token: str) -> Invitation:
    """The open invitation of a link. Raises `InvitationNotFound` or `InvitationExpired`."""
    found = Invitation.objects.pending().select_related("organization", "invited_by").filter(token_digest=digest(token)).first()
    if found is None or found.organization.closed_at is not None or not _still_offered(found):
        raise InvitationNotFound
    if found.expires_at <= now(found.organization):
        raise InvitationExpired
    return found


def accept(token: str, user: User, seat_limit: int | None) -> Membership:
    """Make `user` a member, once. Members are counted under the organization's lock, so the last seat goes to one."""
    organization = find(token).organization
    with transaction.atomic():
        locked(organization)
        invitation = find(token)
        if invitation.email.lower() != user.email.lower():
            raise PermissionDenied(f"This invitation was sent to {invitation.email}. Sign in with that address.")
        if Membership.objects.filter(organization=organization, user=user).exists():
            raise Conflict("You are a member already.")
        used = Membership.objects.filter(organization=organization).count()
        if seat_limit is not None and used >= seat_limit:
            raise SeatLimitReached(feature="team_members", limit=seat_limit, used=used)
        member = Membership.objects.create(organization=organization, user=user, role=invitation.role)
        invitation.accepted_at = now()
        invitation.accepted_by = user
        invitation.save(update_fields=["accepted_at", "accepted_by"])
        audit.record("invitation.accepted", organization=organization, actor=user, target=user.email, after={"role": member.role})
        if member.role in PRIVILEGED_ROLES:
            mail.send_role_notices(member, invitation.invited_by)
    return member


def revoke_unauthorized(organization: Organization, user: User) -> None:
    """Revoke the open invitations of `user` that their role, if they still have one, does not allow. Call it when it changed."""
    mine = Invitation.objects.pending().filter(organization=organization, invited_by=user)
    for invitation in mine.select_for_update(of=("self",)).select_related("organization", "invited_by"):
        if not _still_offered(invitation):
            _end(invitation)
            audit.record("invitation.revoked", organization=organization, actor=None, target=invitation.email)


def _still_offered(invitation: Invitation) -> bool:
    """Whether who invited may still do so. An invitation is worth no more than the right of the person who sent it."""
    inviter = Membership.objects.filter(organization=invitation.organization, user=invitation.invited_by_id, user__is_active=True).first()
    needed = "organization:manage" if invitation.role == Role.OWNER else "users:manage"
    return inviter is not None and needed in PERMISSIONS[inviter.role]


def _seat_limit(organization: Organization) -> int | None:
    """What the plan allows. Entitlements are a layer above, so the function that knows is named in the settings."""
    limit: int | None = import_string(settings.SEAT_LIMIT)(organization)
    return limit


def _check_seats(organization: Organization, limit: int | None, but: Invitation | None = None) -> None:
    """Raise `SeatLimitReached` unless members and open invitations leave a seat."""
    if limit is None:
        return
    open_ones = Invitation.objects.pending().filter(organization=organization, expires_at__gt=now(organization))
    open_ones = open_ones.exclude(pk=but.pk) if but else open_ones
    used = Membership.objects.filter(organization=organization).count() + open_ones.count()
    if used >= limit:
        text = "Members and open invitations take every seat of this plan."
        raise SeatLimitReached(text, feature="team_members", limit=limit, used=used)


def _may_invite(actor: Caller, role: str) -> None:
    _may_manage(actor, role)
    actor.require_person_for(role)
    if actor.user is None or not has_confirmed_email(actor.user):
        raise EmailNotConfirmed("Confirm your email address before you invite others: the link is in your mail.")


def _may_manage(actor: Caller, role: str) -> None:
    actor.require(scope="organization:write", permission="users:manage")
    if role == Role.OWNER:
        actor.require(permission="organization:manage")


def _pending(actor: Caller, invitation_id: UUID) -> Invitation:
    found = Invitation.objects.pending().select_for_update(of=("self",)).filter(organization=actor.organization, pk=invitation_id).first()
    if found is None:
        raise NotFound
    found.organization = actor.organization
    return found


def _end(invitation: Invitation) -> None:
    invitation.revoked_at = now()
    invitation.save(update_fields=["revoked_at"])
