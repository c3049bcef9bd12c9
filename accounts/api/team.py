"""Endpoints for members and invitations."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample

from accounts.endpoint import PER_MEMBER, ApiListView, ApiView, endpoint
from accounts.errors import (
    AlreadyInvited,
    AlreadyMember,
    EmailNotConfirmed,
    HourlyLimitReached,
    LastOwner,
    SeatLimitReached,
    SignInRequired,
)
from accounts.manager import AuthManager
from accounts.types import Caller

from .schemas import ChangeRoleSchema, InvitationSchema, InviteSchema, MemberSchema

_INVITATION = OpenApiExample(
    "An invitation",
    {
        "id": "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa",
        "email": "grace@acme.example",
        "role": "member",
        "invitedBy": "ada@acme.example",
        "createdAt": "2026-06-01T09:00:00Z",
        "expiresAt": "2026-06-08T09:00:00Z",
        "sentAt": "2026-06-01T09:00:01Z",
    },
    response_only=True,
)
_MEMBER = OpenApiExample(
    "An admin",
    {
        "id": "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa",
        "email": "grace@acme.example",
        "name": "Grace",
        "role": "admin",
        "createdAt": "2026-06-01T09:00:00Z",
    },
    response_only=True,
)
_INVITING = (AlreadyMember, AlreadyInvited, EmailNotConfirmed, SignInRequired, SeatLimitReached, HourlyLimitReached)
_CHANGING = (LastOwner, SignInRequired)


class Members(ApiListView):
    """The organization's members."""

    @endpoint("list_members", tag="Team", scope="organization:read", response=MemberSchema, many=True, examples=[_MEMBER])
    def get(self, actor: Caller) -> Any:
        """List the members of the organization, newest first."""
        return AuthManager(actor.organization).members()


class Member(ApiView):
    """A member, whose role can be changed and who can be removed."""

    @endpoint(
        "change_role",
        tag="Team",
        body=ChangeRoleSchema,
        response=MemberSchema,
        refusals=_CHANGING,
        examples=[OpenApiExample("Promote", {"role": "admin"}, request_only=True), _MEMBER],
    )
    def patch(self, actor: Caller, data: dict[str, Any], member_id: UUID) -> Any:
        """Change a member's role. Only an owner can assign or remove the owner role, and the last owner keeps it."""
        return AuthManager(actor.organization).change_role(actor, member_id, data["role"])

    @endpoint("remove_member", tag="Team", refusals=_CHANGING)
    def delete(self, actor: Caller, member_id: UUID) -> None:
        """Remove a member, or leave the organization. The member's API keys are disabled until an admin takes them over."""
        AuthManager(actor.organization).remove_member(actor, member_id)


class Invitations(ApiListView):
    """The organization's open invitations."""

    @endpoint(
        "list_invitations",
        tag="Team",
        scope="organization:read",
        permission="users:manage",
        response=InvitationSchema,
        many=True,
        examples=[_INVITATION],
    )
    def get(self, actor: Caller) -> Any:
        """List the pending invitations: those that are neither accepted nor revoked."""
        return AuthManager(actor.organization).invitations()

    @endpoint(
        "invite",
        tag="Team",
        scope="organization:write",
        permission="users:manage",
        body=InviteSchema,
        response=InvitationSchema,
        status=201,
        idempotency=PER_MEMBER,
        refusals=_INVITING,
        examples=[OpenApiExample("A colleague", {"email": "grace@acme.example", "role": "member"}, request_only=True), _INVITATION],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Invite a person by email. The link is valid for 7 days and works once."""
        return AuthManager(actor.organization).invite(actor, data["email"], data["role"])


class Invitation(ApiView):
    """An invitation, which can be revoked."""

    @endpoint("revoke_invitation", tag="Team")
    def delete(self, actor: Caller, invitation_id: UUID) -> None:
        """Revoke an invitation. Its link no longer works."""
        AuthManager(actor.organization).revoke_invitation(actor, invitation_id)


class ResendInvitation(ApiView):
    """Send an invitation again, with a new link."""

    @endpoint("resend_invitation", tag="Team", response=InvitationSchema, refusals=_INVITING, examples=[_INVITATION])
    def post(self, actor: Caller, invitation_id: UUID) -> Any:
        """Resend an invitation with a new link that is valid for 7 days. The previous link no longer works."""
        return AuthManager(actor.organization).resend_invitation(actor, invitation_id)
