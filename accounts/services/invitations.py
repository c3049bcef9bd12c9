"""Inviting by mail, and accepting. The token is in the mail alone, so mail goes out from here and not from a queue that would store it."""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID

from django.db import transaction

from accounts import audit, mail
from accounts.errors import InvitationExpired, InvitationNotFound, PermissionDenied, SeatLimitReached
from accounts.models import Invitation, Membership, User
from accounts.roles import Role
from accounts.types import Caller
from contextmcp.common.clock import now
from contextmcp.common.errors import Conflict, NotFound

from .organizations import locked

LIFETIME = timedelta(days=7)


def digest(token: str) -> bytes:
    """What is stored of a token. It is 256 random bits, so one round of SHA-256 hides it."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def invite(actor: Caller, email: str, role: str) -> Invitation:
    """Offer membership and mail the link. The seat limit is asked at acceptance."""
    _may_invite(actor, role)
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
        invitation = Invitation.objects.create(
            organization=organization,
            email=email,
            role=role,
            token_digest=digest(token),
            invited_by=actor.user,
            expires_at=now(organization) + LIFETIME,
        )
        audit.record("invitation.created", organization=organization, actor=actor, target=email, after={"role": role})
        transaction.on_commit(lambda: mail.send_invitation(invitation, token))
    return invitation


def resend(actor: Caller, invitation_id: UUID) -> Invitation:
    """A new link with a new lifetime; the old one stops."""
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        invitation = _pending(actor, invitation_id)
        _may_invite(actor, invitation.role)
        before = invitation.expires_at.isoformat()
        invitation.token_digest = digest(token)
        invitation.expires_at = now(actor.organization) + LIFETIME
        invitation.sent_at = None
        invitation.save(update_fields=["token_digest", "expires_at", "sent_at"])
        audit.record(
            "invitation.resent",
            organization=actor.organization,
            actor=actor,
            target=invitation.email,
            before={"expires_at": before},
            after={"expires_at": invitation.expires_at.isoformat()},
        )
        transaction.on_commit(lambda: mail.send_invitation(invitation, token))
    return invitation


def revoke(actor: Caller, invitation_id: UUID) -> None:
    """Its link stops."""
    with transaction.atomic():
        invitation = _pending(actor, invitation_id)
        _may_invite(actor, invitation.role)
        _end(invitation)
        audit.record("invitation.revoked", organization=actor.organization, actor=actor, target=invitation.email)


def find(token: str) -> Invitation:
    """The open invitation of a link. Raises `InvitationNotFound` or `InvitationExpired`."""
    found = Invitation.objects.pending().select_related("organization", "invited_by").filter(token_digest=digest(token)).first()
    if found is None or found.organization.closed_at is not None:
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
    return member


def _may_invite(actor: Caller, role: str) -> None:
    actor.require(scope="organization:write", permission="users:manage")
    if role == Role.OWNER:
        actor.require(permission="organization:manage")
    actor.require_person_for(role)


def _pending(actor: Caller, invitation_id: UUID) -> Invitation:
    found = Invitation.objects.pending().select_for_update(of=("self",)).filter(organization=actor.organization, pk=invitation_id).first()
    if found is None:
        raise NotFound
    found.organization = actor.organization
    return found


def _end(invitation: Invitation) -> None:
    invitation.revoked_at = now()
    invitation.save(update_fields=["revoked_at"])
