"""Endpoints for the public plan catalog and for the entitlements of the caller's organization."""

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import ApiKeyAuthentication, MemberSessionAuthentication, ServiceKeyAuthentication, caller
from contextmcp.common.api import refuse_parameters
from contextmcp.common.signing import SigningNotConfigured
from entitlements import examples
from entitlements.manager import EntitlementsManager
from entitlements.token import issue_token

from .schemas import EntitlementsSchema, EntitlementsTokenSchema, PlanSchema, PlansSchema, entitlements_data, plan_data

_PLAN = PlanSchema(plan_data(examples.PLAN)).data


class PlansView(APIView):
    """The plans on offer."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="list_plans",
        summary="List plans",
        description="All plans on offer with prices, trial days, limits and features. No authentication required.",
        auth=[],
        responses=PlansSchema,
        examples=[
            OpenApiExample(
                "A plan",
                response_only=True,
                value={
                    "data": [
                        {
                            **_PLAN,
                            "features": _PLAN["features"][:2],
                        }
                    ]
                },
            )
        ],
        tags=["Entitlements"],
    )
    def get(self, request: Request) -> Response:
        """Return the plans on offer."""
        refuse_parameters(request.query_params)
        plans = [plan_data(plan) for plan in EntitlementsManager.plans()]
        return Response(PlansSchema({"data": plans}).data, headers={"Cache-Control": "public, max-age=60"})


class EntitlementsView(APIView):
    """The entitlements of an organization."""

    authentication_classes = (ServiceKeyAuthentication, ApiKeyAuthentication, MemberSessionAuthentication)

    @extend_schema(
        operation_id="get_entitlements",
        summary="Get entitlements",
        description="Requires the scope `entitlements:read`. Send the last `ETag` as `If-None-Match` to receive 304 while nothing changed.",
        parameters=[
            OpenApiParameter(
                "If-None-Match", str, OpenApiParameter.HEADER, description="`ETag` of the response that the client has cached."
            )
        ],
        responses={200: EntitlementsSchema, 304: OpenApiResponse(description="Not modified.")},
        examples=[
            OpenApiExample(
                f"On {examples.PLAN.title}",
                response_only=True,
                status_codes=["200"],
                value={
                    "organizationId": "01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10",
                    "active": True,
                    "plan": examples.PLAN.name,
                    "planVersion": examples.PLAN.version,
                    "planTitle": examples.PLAN.title,
                    "source": "subscription",
                    "anchor": "2026-03-01T09:30:00Z",
                    "changesAt": None,
                    "lapsedPlan": None,
                    "features": {
                        examples.QUOTA: {
                            "kind": "quota",
                            "enabled": True,
                            "limit": 1000,
                            "overridden": False,
                            "overage": {"unitAmount": 2, "currency": examples.CURRENCY},
                            "failureMode": "fail_closed",
                        }
                    },
                },
            )
        ],
        tags=["Entitlements"],
    )
    def get(self, request: Request) -> Response:
        """Return the entitlements of the organization, or 304 if the client's cached response is current."""
        actor = caller(request)
        refuse_parameters(request.query_params, *(("organizationId",) if actor.service else ()))
        actor.require(scope="entitlements:read")
        entitlements = EntitlementsManager(actor.organization).entitlements()
        etag = f'"{entitlements.etag}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
        if _etag_matches(request.headers.get("If-None-Match", ""), etag):
            return Response(status=304, headers=headers)
        return Response(EntitlementsSchema(entitlements_data(entitlements)).data, headers=headers)


class EntitlementsTokenView(APIView):
    """The entitlements of an organization as a signed document."""

    authentication_classes = (ServiceKeyAuthentication, ApiKeyAuthentication, MemberSessionAuthentication)

    @extend_schema(
        operation_id="get_entitlements_token",
        summary="Get an entitlements token",
        description=(
            "Returns the entitlements as a signed document that software verifies offline. Its claims are `sub` (ID of the organization), "
            "`iat` and `exp` (Unix times), `grace` (seconds after `exp`), `plan`, `period` (`start` and `end` of the usage month) and "
            "`features` (`kind`, `enabled`, `limit` in units, `failureMode`, and `windowSeconds` of a rate limit). "
            "Requires the scope `entitlements:read`."
        ),
        responses={200: EntitlementsTokenSchema},
        examples=[
            OpenApiExample(
                "A token",
                response_only=True,
                value={
                    "token": "eyJhbGciOiJFZERTQSIsImtpZCI6Ii4uLiIsInR5cCI6ImVudGl0bGVtZW50cytqd3QifQ.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl",
                    "expiresAt": "2026-03-01T10:30:00Z",
                    "graceUntil": "2026-03-04T10:30:00Z",
                },
            )
        ],
        tags=["Entitlements"],
    )
    def get(self, request: Request) -> Response:
        """Return a new token."""
        actor = caller(request)
        refuse_parameters(request.query_params, *(("organizationId",) if actor.service else ()))
        actor.require(scope="entitlements:read")
        return Response(EntitlementsTokenSchema(issue_token(actor.organization)).data, headers={"Cache-Control": "private, no-store"})

    get.refusals = (SigningNotConfigured,)  # type: ignore[attr-defined]


def _etag_matches(if_none_match: str, etag: str) -> bool:
    # RFC 9110, 8.8.3.2: weak comparison, because a proxy that compresses the response weakens its tag.
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))
