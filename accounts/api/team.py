"""Members and invitations."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.manager import AuthManager
from contextmcp.common.api import Page
from contextmcp.common.idempotency import once

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


class Members(GenericAPIView[Any]):
    serializer_class = MemberSchema
    pagination_class = Page

    @extend_schema(operation_id="list_members", tags=["Team"], responses=MemberSchema(many=True), examples=[_MEMBER])
    def get(self, request: Request) -> Response:
        """Everyone in the organization, newest first."""
        actor = caller(request)
        actor.require(scope="organization:read")
        page = self.paginate_queryset(AuthManager(actor.organization).members())
        return self.get_paginated_response(MemberSchema(page, many=True).data)


class Member(GenericAPIView[Any]):
    serializer_class = ChangeRoleSchema

    @extend_schema(
        operation_id="change_role",
        tags=["Team"],
        request=ChangeRoleSchema,
        responses=MemberSchema,
        examples=[OpenApiExample("Promote", {"role": "admin"}, request_only=True), _MEMBER],
    )
    def patch(self, request: Request, member_id: UUID) -> Response:
        """Change a member's role. Only an owner makes or unmakes owners, and the last owner stays one."""
        actor = caller(request)
        body = ChangeRoleSchema(data=request.data)
        body.is_valid(raise_exception=True)
        member = AuthManager(actor.organization).change_role(actor, member_id, body.validated_data["role"])
        return Response(MemberSchema(member).data)

    @extend_schema(operation_id="remove_member", tags=["Team"], responses={204: None})
    def delete(self, request: Request, member_id: UUID) -> Response:
        """Remove a member, or leave. Their keys stop until an admin adopts them."""
        actor = caller(request)
        AuthManager(actor.organization).remove_member(actor, member_id)
        return Response(status=204)


class Invitations(GenericAPIView[Any]):
    idempotent = True
    serializer_class = InviteSchema
    pagination_class = Page

    @extend_schema(operation_id="list_invitations", tags=["Team"], responses=InvitationSchema(many=True), examples=[_INVITATION])
    def get(self, request: Request) -> Response:
        """Invitations neither accepted nor revoked."""
        actor = caller(request)
        actor.require(scope="organization:read", permission="users:manage")
        page = self.paginate_queryset(AuthManager(actor.organization).invitations())
        return self.get_paginated_response(InvitationSchema(page, many=True).data)

    @extend_schema(
        operation_id="invite",
        tags=["Team"],
        request=InviteSchema,
        responses={201: InvitationSchema},
        examples=[OpenApiExample("A colleague", {"email": "grace@acme.example", "role": "member"}, request_only=True), _INVITATION],
    )
    def post(self, request: Request) -> Response:
        """Invite somebody by mail. The link holds for 7 days and works once."""
        actor = caller(request)
        actor.require(scope="organization:write", permission="users:manage")
        body = InviteSchema(data=request.data)
        body.is_valid(raise_exception=True)

        def act() -> Response:
            made = AuthManager(actor.organization).invite(actor, body.validated_data["email"], body.validated_data["role"])
            return Response(InvitationSchema(made).data, status=201)

        return once(request, actor.membership_id, act)


class Invitation(GenericAPIView[Any]):
    serializer_class = InvitationSchema

    @extend_schema(operation_id="revoke_invitation", tags=["Team"], responses={204: None})
    def delete(self, request: Request, invitation_id: UUID) -> Response:
        """Its link stops."""
        actor = caller(request)
        AuthManager(actor.organization).revoke_invitation(actor, invitation_id)
        return Response(status=204)


class ResendInvitation(GenericAPIView[Any]):
    serializer_class = InvitationSchema

    @extend_schema(operation_id="resend_invitation", tags=["Team"], request=None, responses=InvitationSchema, examples=[_INVITATION])
    def post(self, request: Request, invitation_id: UUID) -> Response:
        """Mail it again, with a new link that holds for 7 days. The old link stops."""
        actor = caller(request)
        return Response(InvitationSchema(AuthManager(actor.organization).resend_invitation(actor, invitation_id)).data)
