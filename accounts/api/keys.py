"""Endpoints for API keys and for the caller's identity."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import OpenApiExample

from accounts.endpoint import ApiListView, ApiView, endpoint, per_member_without
from accounts.errors import HourlyLimitReached, KeyAlreadyRotated, KeyEnded, KeyHasCreator, KeyLimitReached, KeyScopesNotHeld
from accounts.manager import AuthManager
from accounts.types import Caller
from contextmcp.common.errors import NotFound

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
_CALLER = OpenApiExample(
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
_WITHOUT_KEY = per_member_without("key")


class GenerateKey(ApiView):
    """Create an API key."""

    @endpoint(
        "generate_key",
        tag="Identity",
        scope="keys:write",
        body=GenerateKeySchema,
        response=NewKeySchema,
        status=201,
        idempotency=_WITHOUT_KEY,
        refusals=(KeyLimitReached, HourlyLimitReached),
        examples=[OpenApiExample("For CI", {"name": "CI", "scopes": ["usage:write"]}, request_only=True), _NEW_KEY],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Create an API key. The key is shown only once.

        By default the key can use the product and read data; name further scopes explicitly. An API key needs the scope keys:write to
        create another key, which cannot have more scopes or a later expiration. The number of active keys of an organization and the
        number of keys created per hour are limited.
        """
        return AuthManager(actor.organization).generate_key(actor, data["name"], data.get("scopes"), data.get("expires_at"))


class RotateKey(ApiView):
    """Replace an API key with a new one."""

    @endpoint(
        "rotate_key",
        tag="Identity",
        body=RotateKeySchema,
        response=NewKeySchema,
        status=201,
        idempotency=_WITHOUT_KEY,
        refusals=(NotFound, KeyEnded, KeyAlreadyRotated, KeyLimitReached, HourlyLimitReached),
        examples=[OpenApiExample("Within an hour", {"overlapSeconds": 3600}, request_only=True), _NEW_KEY],
    )
    def post(self, actor: Caller, data: dict[str, Any]) -> Any:
        """Rotate an API key: create a successor with the same scopes. The old key keeps working for `overlapSeconds`."""
        return AuthManager(actor.organization).rotate_key(actor, data.get("key_id"), timedelta(seconds=data["overlap_seconds"]))


class WhoAmI(ApiView):
    """The identity that a request acts with."""

    @endpoint("whoami", tag="Identity", response=WhoAmISchema, examples=[_CALLER])
    def get(self, actor: Caller) -> Any:
        """Return the caller's organization, user, role, permissions and scopes."""
        return {
            "organization": actor.organization,
            "user": actor.user,
            "key": actor.key,
            "role": actor.role,
            "permissions": sorted(actor.permissions),
            "scopes": sorted(actor.scopes),
            "environment": settings.KEY_ENVIRONMENT,
        }


class Keys(ApiListView):
    """The organization's API keys."""

    @endpoint("list_keys", tag="Identity", scope="organization:read", response=KeySchema, many=True, examples=[_OLD_KEY])
    def get(self, actor: Caller) -> Any:
        """List the API keys that the caller can manage: their own, or all keys of the organization for admins and owners."""
        return AuthManager(actor.organization).keys(actor)


class Key(ApiView):
    """An API key, which can be revoked."""

    @endpoint("revoke_key", tag="Identity")
    def delete(self, actor: Caller, key_id: UUID) -> None:
        """Revoke an API key immediately. Repeating the request has no effect."""
        AuthManager(actor.organization).revoke_key(actor, key_id)


class TakeOverKey(ApiView):
    """Take over a key whose creator has left the organization."""

    @endpoint(
        "take_over_key",
        tag="Identity",
        response=NewKeySchema,
        status=201,
        idempotency=_WITHOUT_KEY,
        refusals=(KeyEnded, KeyAlreadyRotated, KeyHasCreator, KeyScopesNotHeld, KeyLimitReached, HourlyLimitReached),
        examples=[_NEW_KEY],
    )
    def post(self, actor: Caller, key_id: UUID) -> Any:
        """Take over the API key of a former member.

        The response contains a new key, which is shown only once. It has the scopes of the old key that you also have. The old key is
        revoked.
        """
        return AuthManager(actor.organization).take_over_key(actor, key_id)
