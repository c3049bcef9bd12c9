"""Create, resend, revoke and accept invitations.

The row of an invitation contains a digest of its token. The token itself is only in the stored email, until that is delivered.
"""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string
from django.utils.translation import gettext_noop as _

from accounts import audit, emails
from accounts.errors import (
    AlreadyInvited,
    AlreadyMember,
    EmailNotConfirmed,
    InvitationExpired,
    InvitationNotFound,
    InvitationUsed,
    InviterNotAllowed,
    PermissionDenied,
    SeatLimitReached,
)
from accounts.member_emails import send_member_joined
from accounts.models import Invitation, Membership, Organization, User
from accounts.roles import PERMISSIONS, PRIVILEGED_ROLES, Role
from accounts.selectors import has_confirmed_email
from accounts.types import Caller, SeatLimit
from contextmcp.common.clock import now
from contextmcp.common.errors import NotFound
from contextmcp.common.text import translatable

from .invitation_limits import check_invitation_limits
from .organizations import locked

LIFETIME = timedelta(days=7)


def digest(token: str) -> bytes:
    """Return the stored digest of a token. A token has 256 random bits, so a single round of SHA-256 is sufficient."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def invite(actor: Caller, email: str, role: str) -> Invitation:
    """Create an invitation and email its link. Open invitations count as seats; accepting checks the seats again.

    Raises `PermissionDenied`, `SignInRequired`, `EmailNotConfirmed`, `SeatLimitReached`, `HourlyLimitReached`, `AlreadyMember`,
    `AlreadyInvited`.
    """
    _may_invite(actor, role)
    seat_limit = _seat_limit(actor.organization)
    organization, email = actor.organization, email.strip().lower()
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        locked(organization)
        if Membership.objects.filter(organization=organization, user__email__iexact=email).exists():
            raise AlreadyMember(translatable("%(email)s is already a member.", email=email))
        pending = Invitation.objects.pending().filter(organization=organization, email__iexact=email).first()
        if pending is not None and pending.expires_at > now(organization):
            raise AlreadyInvited(
                translatable("%(email)s has already been invited. Resend the invitation, or revoke it first.", email=email)
            )
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
        emails.send_invitation(invitation, token)
    return invitation


def resend(organization: Organization, actor: Caller | User, invitation_id: UUID, *, reason: str = "") -> Invitation:
    """Email a new link with a new expiration. The old link becomes invalid.

    If the actor is a member, they become the inviter. If the actor is staff, the inviter stays and must still be allowed to invite.
    Raises the errors of `invite`, and `InviterNotAllowed`.
    """
    token = secrets.token_urlsafe(32)
    seat_limit = _seat_limit(organization)
    with transaction.atomic():
        locked(organization)
        invitation = _pending(organization, invitation_id)
        if isinstance(actor, Caller):
            _may_invite(actor, invitation.role)
            invitation.invited_by = actor.user
        elif not _is_still_valid(invitation):
            raise InviterNotAllowed
        _check_seats(organization, seat_limit, but=invitation)
        check_invitation_limits(organization, invitation.invited_by, invitation.email)
        before = invitation.expires_at.isoformat()
        invitation.token_digest = digest(token)
        invitation.expires_at = now(organization) + LIFETIME
        invitation.sent_at = None
        invitation.save(update_fields=["token_digest", "expires_at", "sent_at", "invited_by"])
        audit.record(
            "invitation.resent",
            organization=organization,
            actor=actor,
            target=invitation.email,
            before={"expires_at": before},
            after={"expires_at": invitation.expires_at.isoformat()},
            reason=reason,
        )
        emails.send_invitation(invitation, token)
    return invitation


def extend(organization: Organization, actor: User, invitation_id: UUID, *, reason: str) -> Invitation:
    """Extend the invitation: its link works for `LIFETIME` from now. Raises `NotFound`, `InviterNotAllowed`, `SeatLimitReached`."""
    seat_limit = _seat_limit(organization)
    with transaction.atomic():
        locked(organization)
        invitation = _pending(organization, invitation_id)
        if not _is_still_valid(invitation):
            raise InviterNotAllowed
        _check_seats(organization, seat_limit, but=invitation)
        before, invitation.expires_at = invitation.expires_at, now(organization) + LIFETIME
        invitation.save(update_fields=["expires_at"])
        audit.record(
            "invitation.extended",
            organization=organization,
            actor=actor,
            target=invitation.email,
            before={"expires_at": before.isoformat()},
            after={"expires_at": invitation.expires_at.isoformat()},
            reason=reason,
        )
    return invitation


def revoke(organization: Organization, actor: Caller | User, invitation_id: UUID, *, reason: str = "") -> None:
    """Revoke an invitation, so that its link becomes invalid. Raises `NotFound`, `PermissionDenied`."""
    with transaction.atomic():
        invitation = _pending(organization, invitation_id)
        if isinstance(actor, Caller):
            _may_manage(actor, invitation.role)
        _end(invitation)
        audit.record(
            "invitation.revoked",
            organization=organization,
            actor=actor,
            target=invitation.email,
            before={"role": invitation.role, "expires_at": invitation.expires_at.isoformat()},
            after={"revoked": True},
            reason=reason,
        )


def find(token: str) -> Invitation:
    """Return the open invitation of a link's token. Raises `InvitationNotFound`, `InvitationUsed` or `InvitationExpired`."""
    found = Invitation.objects.select_related("organization", "invited_by").filter(token_digest=digest(token), revoked_at=None).first()
    if found is not None and found.accepted_at is not None:
        raise InvitationUsed
    invitation = found
    if invitation is None or invitation.organization.closed_at is not None or not _is_still_valid(invitation):
        raise InvitationNotFound
    if invitation.expires_at <= now(invitation.organization):
        raise InvitationExpired
    return invitation


def joined_with(token: str, user: User) -> Organization | None:
    """Return the organization that the user joined with this invitation and still belongs to, or None."""
    accepted = Invitation.objects.select_related("organization").filter(token_digest=digest(token), accepted_by=user)
    invitation = accepted.filter(organization__closed_at=None, organization__memberships__user=user).first()
    return invitation.organization if invitation else None


def invited_address(token: object) -> str | None:
    """Return the lower-case recipient address of an open invitation, or None if the token is not valid."""
    try:
        return find(token).email.lower() if isinstance(token, str) else None
    except (InvitationNotFound, InvitationUsed, InvitationExpired):
        return None


def accept(token: str, user: User, seat_limit: SeatLimit | None) -> Membership:
    """Make `user` a member. Members are counted under the organization's lock, so the last seat is given only once."""
    organization = find(token).organization
    with transaction.atomic():
        locked(organization)
        invitation = find(token)
        if invitation.email.lower() != user.email.lower():
            raise PermissionDenied(
                translatable("This invitation was sent to %(email)s. Sign in with that address.", email=invitation.email)
            )
        if Membership.objects.filter(organization=organization, user=user).exists():
            raise AlreadyMember(_("You are already a member."))
        used = Membership.objects.filter(organization=organization).count()
        if seat_limit is not None and used >= seat_limit.limit:
            raise SeatLimitReached(feature=seat_limit.feature, limit=seat_limit.limit, used=used)
        member = Membership.objects.create(organization=organization, user=user, role=invitation.role)
        invitation.accepted_at = now()
        invitation.accepted_by = user
        invitation.save(update_fields=["accepted_at", "accepted_by"])
        audit.record("invitation.accepted", organization=organization, actor=user, target=user.email, after={"role": member.role})
        if member.role in PRIVILEGED_ROLES:
            emails.send_role_notices(member, invitation.invited_by)
        send_member_joined(member)
    return member


def revoke_unauthorized(organization: Organization, user: User) -> None:
    """Revoke open invitations by `user` that their current role does not allow. Call it after a role changed or a member left."""
    pending = Invitation.objects.pending().filter(organization=organization, invited_by=user)
    for invitation in pending.select_for_update(of=("self",)).select_related("organization", "invited_by"):
        if not _is_still_valid(invitation):
            _end(invitation)
            audit.record("invitation.revoked", organization=organization, actor=None, target=invitation.email)


def _is_still_valid(invitation: Invitation) -> bool:
    """Return whether the inviter still has the permission to send this invitation. Otherwise the invitation is not valid."""
    inviter = Membership.objects.filter(organization=invitation.organization, user=invitation.invited_by_id, user__is_active=True).first()
    needed = "organization:manage" if invitation.role == Role.OWNER else "users:manage"
    return inviter is not None and needed in PERMISSIONS[inviter.role]


def _seat_limit(organization: Organization) -> SeatLimit | None:
    """Return the plan's limit of members. The function is named in the settings, because accounts cannot import entitlements."""
    limit: SeatLimit | None = import_string(settings.SEAT_LIMIT)(organization)
    return limit


def _check_seats(organization: Organization, seats: SeatLimit | None, but: Invitation | None = None) -> None:
    """Raise `SeatLimitReached` if members and open invitations use all seats."""
    if seats is None:
        return
    pending_invitations = Invitation.objects.pending().filter(organization=organization, expires_at__gt=now(organization))
    pending_invitations = pending_invitations.exclude(pk=but.pk) if but else pending_invitations
    used = Membership.objects.filter(organization=organization).count() + pending_invitations.count()
    if used >= seats.limit:
        text = _("Members and open invitations use all seats of this plan.")
        raise SeatLimitReached(text, feature=seats.feature, limit=seats.limit, used=used)


def _may_invite(actor: Caller, role: str) -> None:
    _may_manage(actor, role)
    actor.require_person_for(role)
    if role in PRIVILEGED_ROLES:
        actor.require_recent_authentication()
    if actor.user is None or not has_confirmed_email(actor.user):
        raise EmailNotConfirmed(_("Confirm your email address before you invite others. The link is in the email that we sent you."))


def _may_manage(actor: Caller, role: str) -> None:
    actor.require(scope="organization:write", permission="users:manage")
    if role == Role.OWNER:
        actor.require(permission="organization:manage")


def _pending(organization: Organization, invitation_id: UUID) -> Invitation:
    invitation = Invitation.objects.pending().select_for_update(of=("self",)).filter(organization=organization, pk=invitation_id).first()
    if invitation is None:
        raise NotFound
    invitation.organization = organization
    return invitation


def _end(invitation: Invitation) -> None:
    invitation.revoked_at = now()
    invitation.save(update_fields=["revoked_at"])
