"""The catalogue for everybody, and what the caller's organization may do."""

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import ApiKeyAuthentication, MemberSessionAuthentication, ServiceKeyAuthentication, caller
from contextmcp.common.errors import ValidationFailed
from entitlements.manager import EntitlementsManager

from .schemas import EntitlementsSchema, PlansSchema, entitlements_data, plan_data


def refuse_parameters(request: Request) -> None:
    """An address that takes no parameters says so, so that a mistyped one is not taken for an answer."""
    known = ("organizationId",) if request.auth is not None and caller(request).service else ()
    if set(request.query_params) - set(known):
        raise ValidationFailed(errors=[{"field": name, "message": "There is no such parameter."} for name in request.query_params])


class PlansView(APIView):
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="list_plans",
        summary="The public catalogue",
        description="Every plan on offer with its prices, trial, limits and features. Needs no key.",
        auth=[],
        responses=PlansSchema,
        examples=[
            OpenApiExample(
                "One of the plans",
                response_only=True,
                value={
                    "data": [
                        {
                            "plan": "pro",
                            "version": 1,
                            "title": "Pro",
                            "summary": "For people and teams who work with it every day.",
                            "trialDays": 14,
                            "prices": [{"interval": "month", "amount": 900, "currency": "usd"}],
                            "features": [
                                {
                                    "feature": "sessions",
                                    "title": "Sessions",
                                    "kind": "quota",
                                    "included": True,
                                    "limit": 1000,
                                    "overage": {"unitAmount": 2, "currency": "usd"},
                                }
                            ],
                        }
                    ]
                },
            )
        ],
        tags=["Entitlements"],
    )
    def get(self, request: Request) -> Response:
        refuse_parameters(request)
        plans = [plan_data(plan) for plan in EntitlementsManager.plans()]
        return Response(PlansSchema({"data": plans}).data, headers={"Cache-Control": "public, max-age=60"})


class EntitlementsView(APIView):
    authentication_classes = (ServiceKeyAuthentication, ApiKeyAuthentication, MemberSessionAuthentication)

    @extend_schema(
        operation_id="get_entitlements",
        summary="Everything the organization may do",
        description="Needs the scope `entitlements:read`. With the last `ETag` as `If-None-Match` it answers 304 while nothing changed.",
        parameters=[OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER)],
        responses={200: EntitlementsSchema, 304: OpenApiResponse(description="As you have it.")},
        examples=[
            OpenApiExample(
                "On Pro",
                response_only=True,
                status_codes=["200"],
                value={
                    "organizationId": "01981a52-9c1e-7a3f-8f43-5d0c2b6e7a10",
                    "active": True,
                    "plan": "pro",
                    "planVersion": 1,
                    "planTitle": "Pro",
                    "source": "subscription",
                    "anchor": "2026-03-01T09:30:00Z",
                    "changesAt": None,
                    "owing": None,
                    "features": {
                        "sessions": {
                            "kind": "quota",
                            "enabled": True,
                            "limit": 1000,
                            "overridden": False,
                            "overage": {"unitAmount": 2, "currency": "usd"},
                            "onOutage": "refuse",
                        }
                    },
                },
            )
        ],
        tags=["Entitlements"],
    )
    def get(self, request: Request) -> Response:
        refuse_parameters(request)
        who = caller(request)
        who.require(scope="entitlements:read")
        entitlements = EntitlementsManager(who.organization).entitlements()
        etag = f'"{entitlements.etag}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
        if _known(request.headers.get("If-None-Match", ""), etag):
            return Response(status=304, headers=headers)
        return Response(EntitlementsSchema(entitlements_data(entitlements)).data, headers=headers)


def _known(given: str, etag: str) -> bool:
    # Weak comparison (RFC 9110): a proxy that compresses makes the tag weak.
    return any(one.strip().removeprefix("W/") in (etag, "*") for one in given.split(","))
