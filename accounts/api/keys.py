"""API keys, and who the caller is."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import caller
from accounts.manager import AuthManager
from contextmcp.common.api import Page
from contextmcp.common.idempotency import once

from .schemas import GenerateKeySchema, KeySchema, NewKeySchema, RotateKeySchema, WhoAmISchema

_ID = "0197f3c2-6f0a-7d3e-9c54-2a1b7e60d9aa"
_KEY = {
    "id": _ID,
    "name": "CI",
    "hint": "cmcp_sk_live_7Hq2Zp…",
    "environment": "live",
    "scopes": ["entitlements:read", "usage:read", "usage:write"],
    "status": "active",
    "createdBy": "ada@acme.example",
    "createdAt": "2026-06-01T09:00:00Z",
    "expiresAt": None,
    "revokedAt": None,
    "lastUsedAt": None,
    "rotatedFrom": None,
}
_NEW_KEY = OpenApiExample("A new key", {**_KEY, "key": "cmcp_sk_live_7Hq2Zp…"}, response_only=True)
_OLD_KEY = OpenApiExample("A key", _KEY, response_only=True)
_ME = OpenApiExample(
    "A member's key",
    {
        "organization": {"id": _ID, "name": "Acme", "slug": "acme"},
        "user": {"id": 7, "email": "ada@acme.example", "name": "Ada"},
        "key": _KEY,
        "role": "member",
        "permissions": ["analytics:view", "contexts:access", "projects:access", "sessions:manage"],
        "scopes": ["entitlements:read", "usage:read", "usage:write"],
        "environment": "live",
    },
    response_only=True,
)


def _forget_key(data: Any) -> Any:
    """What is stored of the answer that shows a key."""
    return {**data, "key": None}


class GenerateKey(GenericAPIView[Any]):
    idempotent = True
    serializer_class = GenerateKeySchema

    @extend_schema(
        operation_id="generate_key",
        tags=["Identity"],
        request=GenerateKeySchema,
        responses={201: NewKeySchema},
        examples=[OpenApiExample("For CI", {"name": "CI", "scopes": ["usage:write"]}, request_only=True), _NEW_KEY],
    )
    def post(self, request: Request) -> Response:
        """Create an API key. It is shown this once.

        By default it can use the product and read; name the scopes for more. A key needs keys:write to create another, which has
        no more scopes and ends no later. An organization has a limited number of active keys, and of new ones in an hour.
        """
        actor = caller(request)
        actor.require(scope="keys:write")
        wanted = _valid(GenerateKeySchema, request)

        def act() -> Response:
            made = AuthManager(actor.organization).generate_key(actor, wanted["name"], wanted.get("scopes"), wanted.get("expires_at"))
            return Response(NewKeySchema(made).data, status=201)

        return once(request, actor.membership_id, act, keep=_forget_key)


class RotateKey(GenericAPIView[Any]):
    idempotent = True
    serializer_class = RotateKeySchema

    @extend_schema(
        operation_id="rotate_key",
        tags=["Identity"],
        request=RotateKeySchema,
        responses={201: NewKeySchema},
        examples=[OpenApiExample("Within an hour", {"overlapSeconds": 3600}, request_only=True), _NEW_KEY],
    )
    def post(self, request: Request) -> Response:
        """Replace the presented key, or the one named, by one with the same scopes. The old one works on for `overlapSeconds`."""
        actor = caller(request)
        wanted = _valid(RotateKeySchema, request)

        def act() -> Response:
            overlap = timedelta(seconds=wanted["overlap_seconds"])
            made = AuthManager(actor.organization).rotate_key(actor, wanted.get("key_id"), overlap)
            return Response(NewKeySchema(made).data, status=201)

        return once(request, actor.membership_id, act, keep=_forget_key)


class WhoAmI(GenericAPIView[Any]):
    serializer_class = WhoAmISchema

    @extend_schema(operation_id="whoami", tags=["Identity"], responses=WhoAmISchema, examples=[_ME])
    def get(self, request: Request) -> Response:
        """Who you are, for whom you act, and what you may do."""
        actor = caller(request)
        answer = {
            "organization": actor.organization,
            "user": actor.user,
            "key": actor.key,
            "role": actor.role,
            "permissions": sorted(actor.permissions),
            "scopes": sorted(actor.scopes),
            "environment": settings.KEY_ENVIRONMENT,
        }
        return Response(WhoAmISchema(answer).data)


class Keys(GenericAPIView[Any]):
    serializer_class = KeySchema
    pagination_class = Page

    @extend_schema(operation_id="list_keys", tags=["Identity"], responses=KeySchema(many=True), examples=[_OLD_KEY])
    def get(self, request: Request) -> Response:
        """The keys you may manage: your own; for admins and owners everyone's."""
        actor = caller(request)
        actor.require(scope="organization:read")
        page = self.paginate_queryset(AuthManager(actor.organization).keys(actor))
        for key in page or ():
            key.organization = actor.organization
        return self.get_paginated_response(KeySchema(page, many=True).data)


class Key(GenericAPIView[Any]):
    serializer_class = KeySchema

    @extend_schema(operation_id="revoke_key", tags=["Identity"], responses={204: None})
    def delete(self, request: Request, key_id: UUID) -> Response:
        """Revoke a key, at once and everywhere. Repeating it is harmless."""
        actor = caller(request)
        AuthManager(actor.organization).revoke_key(actor, key_id)
        return Response(status=204)


class AdoptKey(GenericAPIView[Any]):
    idempotent = True
    serializer_class = NewKeySchema

    @extend_schema(operation_id="adopt_key", tags=["Identity"], request=None, responses={201: NewKeySchema}, examples=[_NEW_KEY])
    def post(self, request: Request, key_id: UUID) -> Response:
        """Replace a key that stopped because its creator left. You get a new one, shown this once, with those of its scopes that you have.

        The old key is revoked.
        """
        actor = caller(request)

        def act() -> Response:
            return Response(NewKeySchema(AuthManager(actor.organization).adopt_key(actor, key_id)).data, status=201)

        return once(request, actor.membership_id, act, keep=_forget_key)


def _valid(schema: Any, request: Request) -> dict[str, Any]:
    body = schema(data=request.data)
    body.is_valid(raise_exception=True)
    return dict(body.validated_data)
