"""Bodies of the identity endpoints."""

from typing import Any

from rest_framework import serializers

from accounts.models import ApiKey, Invitation
from accounts.roles import SCOPES, Role
from contextmcp.common.api import Schema
from contextmcp.common.clock import now


class UserSchema(Schema):
    id = serializers.IntegerField()
    email = serializers.EmailField()
    name = serializers.CharField()


class OrganizationBriefSchema(Schema):
    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField()


class GenerateKeySchema(Schema):
    name = serializers.CharField(min_length=1, max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES),
        required=False,
        min_length=1,
        max_length=len(SCOPES),
        help_text="What the key may do. By default: organization:read, entitlements:read, usage:read and usage:write.",
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, help_text="By default it does not expire.")


class RotateKeySchema(Schema):
    key_id = serializers.UUIDField(required=False, help_text="By default the key that is presented.")
    overlap_seconds = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=2_592_000,
        default=86_400,
        help_text="How long the old key lives on: 0 to 30 days, by default 24 hours.",
    )


class KeySchema(Schema):
    id = serializers.UUIDField()
    name = serializers.CharField()
    hint = serializers.CharField(help_text="The beginning of the key, enough to recognise it.")
    environment = serializers.ChoiceField(choices=["live", "test"])
    scopes = serializers.ListField(child=serializers.CharField())
    status = serializers.SerializerMethodField()
    created_by = serializers.SerializerMethodField("get_created_by")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    rotated_from = serializers.UUIDField(source="rotated_from_id", allow_null=True)

    def get_status(self, key: ApiKey) -> str:
        """active, expired, revoked, or orphaned (whoever made it left; an admin can adopt it)."""
        return key.status(now(key.organization))

    def get_created_by(self, key: ApiKey) -> str | None:
        """An email address."""
        return key.created_by.email if key.created_by else None


class NewKeySchema(KeySchema):
    key = serializers.CharField(allow_null=True, help_text="Shown this once; null when a repeated request is answered again.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        made, raw = instance
        made.key = raw
        return super().to_representation(made)


class WhoAmISchema(Schema):
    organization = OrganizationBriefSchema()
    user = UserSchema(allow_null=True)
    key = KeySchema(allow_null=True)
    role = serializers.ChoiceField(choices=Role.values)
    permissions = serializers.ListField(child=serializers.CharField())
    scopes = serializers.ListField(child=serializers.CharField(), help_text="What your role and, if you sent one, your key both allow.")
    environment = serializers.ChoiceField(choices=["live", "test"])


class MemberSchema(Schema):
    id = serializers.UUIDField()
    email = serializers.EmailField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.ChoiceField(choices=Role.values)
    created_at = serializers.DateTimeField()


class ChangeRoleSchema(Schema):
    role = serializers.ChoiceField(choices=Role.values)


class InviteSchema(Schema):
    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(choices=Role.values, default=Role.MEMBER)


class InvitationSchema(Schema):
    id = serializers.UUIDField()
    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=Role.values)
    invited_by = serializers.SerializerMethodField("get_invited_by")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(
        allow_null=True, help_text="When the mail server took it; null while the mail is queued. It is retried."
    )

    def get_invited_by(self, invitation: Invitation) -> str | None:
        """An email address."""
        return invitation.invited_by.email if invitation.invited_by else None
