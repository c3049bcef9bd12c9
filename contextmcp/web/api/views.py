"""Endpoints that use several apps: get the organization, accept an invitation."""

from typing import Any, NoReturn

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import SignedInAuthentication
from accounts.endpoint import ApiView, endpoint
from accounts.errors import (
    AlreadyMember,
    InvitationExpired,
    InvitationNotFound,
    InvitationUsed,
    SeatLimitReached,
    Unauthenticated,
)
from accounts.manager import AuthManager
from accounts.models import User
from accounts.selectors import team_members_count
from accounts.types import Caller
from billing.manager import BillingManager
from billing.models import BillingAccount
from contextmcp.common.api import validated_data
from contextmcp.common.idempotency import idempotent
from contextmcp.web.entitled_seats import seat_limit
from entitlements import examples

from .schemas import AcceptedSchema, AcceptSchema, OrganizationSchema


class OrganizationView(ApiView):
    """The organization of the caller."""

    @endpoint(
        "get_organization",
        tag="Organization",
        scope="organization:read",
        response=OrganizationSchema,
        examples=[
            OpenApiExample(
                f"On {examples.PLAN.title}",
                {
                    "id": "01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10",
                    "name": "Acme",
                    "slug": "acme",
                    "email": "ada@acme.example",
                    "plan": examples.PLAN.name,
                    "planVersion": 1,
                    "status": "active",
                    "membersCount": 3,
                    "stripeCustomerId": "cus_NffrFeUfNV2Hib",
                    "createdAt": "2026-06-01T09:00:00Z",
                },
                response_only=True,
            )
        ],
    )
    def get(self, actor: Caller) -> Any:
        """Return the caller's organization with its plan, subscription status, number of members and Stripe customer ID."""
        organization = actor.organization
        state = BillingManager(organization).subscription()
        account = BillingAccount.objects.filter(organization=organization).first()
        return {
            "id": organization.pk,
            "name": organization.name,
            "slug": organization.slug,
            "email": organization.email,
            "plan": state.plan,
            "plan_version": state.plan_version,
            "status": state.status,
            "members_count": team_members_count(organization),
            "stripe_customer_id": account.stripe_customer_id if account else None,
            "created_at": organization.created_at,
        }


class AcceptInvitationView(APIView):
    """Accept an invitation."""

    idempotent = True
    authentication_classes = [SignedInAuthentication]
    refusals = (InvitationNotFound, InvitationUsed, InvitationExpired, AlreadyMember, SeatLimitReached)

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        """Raise `Unauthenticated`, because DRF would return 403 for an API key."""
        raise Unauthenticated("Sign in to accept an invitation. An API key cannot accept it.")

    @extend_schema(
        operation_id="accept_invitation",
        tags=["Team"],
        request=AcceptSchema,
        responses={201: AcceptedSchema},
        examples=[
            OpenApiExample("Token from the email", {"token": "Qm9yaW5nIGJ1dCBzYWZlIQ"}, request_only=True),
            OpenApiExample(
                "Accepted",
                {
                    "organizationId": "01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10",
                    "organization": "Acme",
                    "memberId": "01981a53-0f7b-7c55-9a1d-3f0b7e60d9aa",
                    "role": "member",
                },
                response_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Accept an invitation. Requires the session of the invited user and a free seat in the organization's plan."""
        token = validated_data(AcceptSchema, request)["token"]
        user = request.user
        assert isinstance(user, User)

        def act() -> Response:
            organization = AuthManager.find_invitation(token).organization
            member = AuthManager.accept_invitation(token, user, seat_limit(organization))
            data = {"organization_id": organization.pk, "organization": organization.name, "member_id": member.pk, "role": member.role}
            return Response(AcceptedSchema(data).data, status=201)

        return idempotent(request, f"user:{user.pk}", act)
