"""Endpoints that join apps: the organization's summary, and accepting an invitation."""

from typing import NoReturn

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import SignedInAuthentication, caller
from accounts.errors import Unauthenticated
from accounts.manager import AuthManager
from accounts.models import User
from accounts.selectors import team_members_count
from billing.manager import BillingManager
from billing.models import BillingAccount
from contextmcp.common.idempotency import once
from contextmcp.site.seats import seat_limit

from .schemas import AcceptedSchema, AcceptSchema, OrganizationSchema


class OrganizationView(APIView):
    @extend_schema(
        operation_id="get_organization",
        tags=["Organization"],
        responses=OrganizationSchema,
        examples=[
            OpenApiExample(
                "On Pro",
                {
                    "id": "01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10",
                    "name": "Acme",
                    "slug": "acme",
                    "email": "ada@acme.example",
                    "plan": "pro",
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
    def get(self, request: Request) -> Response:
        """The caller's organization: its plan, how many members it has, and its customer at Stripe."""
        me = caller(request)
        me.require(scope="organization:read")
        organization = me.organization
        state = BillingManager(organization).subscription()
        account = BillingAccount.objects.filter(organization=organization).first()
        said = {
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
        return Response(OrganizationSchema(said).data)


class AcceptInvitationView(APIView):
    idempotent = True
    authentication_classes = [SignedInAuthentication]

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        raise Unauthenticated("Sign in: a person accepts an invitation, a key cannot.")

    @extend_schema(
        operation_id="accept_invitation",
        tags=["Team"],
        request=AcceptSchema,
        responses={201: AcceptedSchema},
        examples=[
            OpenApiExample("From the mail", {"token": "Qm9yaW5nIGJ1dCBzYWZlIQ"}, request_only=True),
            OpenApiExample(
                "A member now",
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
        """Join the organization that sent the invitation. It takes the session of whoever was invited; the plan's seats are counted."""
        body = AcceptSchema(data=request.data)
        body.is_valid(raise_exception=True)
        token = body.validated_data["token"]
        user = request.user
        assert isinstance(user, User)

        def act() -> Response:
            organization = AuthManager.find_invitation(token).organization
            member = AuthManager.accept_invitation(token, user, seat_limit(organization))
            said = {"organization_id": organization.pk, "organization": organization.name, "member_id": member.pk, "role": member.role}
            return Response(AcceptedSchema(said).data, status=201)

        return once(request, f"user:{user.pk}", act)
