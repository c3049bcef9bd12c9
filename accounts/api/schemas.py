"""Request and response schemas of the identity and team endpoints."""

from typing import Any

from rest_framework import serializers

from accounts.models import ApiKey, Invitation
from accounts.roles import SCOPES, Role
from contextmcp.common.api import Schema
from contextmcp.common.clock import now


class UserSchema(Schema):
    """A user."""

    id = serializers.IntegerField(help_text="ID of the user.")
    email = serializers.EmailField(help_text="Email address with which the user signs in.")
    name = serializers.CharField(help_text="Display name. Empty if the user has not entered one.")


class OrganizationBriefSchema(Schema):
    """The names of an organization."""

    id = serializers.UUIDField(help_text="ID of the organization.")
    name = serializers.CharField(help_text="Display name of the organization.")
    slug = serializers.CharField(help_text="Name of the organization in URLs.")


class GenerateKeySchema(Schema):
    """The API key to create."""

    name = serializers.CharField(
        min_length=1, max_length=100, help_text="Name that tells the key apart from others, such as the place where it is used."
    )
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=SCOPES),
        required=False,
        min_length=1,
        max_length=len(SCOPES),
        help_text="Scopes of the key. Default: organization:read, entitlements:read, usage:read and usage:write.",
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="When the key expires. By default it does not expire."
    )


class RotateKeySchema(Schema):
    """The API key to rotate, and how long the old one still works."""

    key_id = serializers.UUIDField(required=False, help_text="The key to rotate. Default: the key that authenticates the request.")
    overlap_seconds = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=2_592_000,
        default=86_400,
        help_text="How long the old key keeps working, in seconds: 0 to 2592000 (30 days). Default: 86400 (24 hours).",
    )


class KeySchema(Schema):
    """An API key, without its secret."""

    id = serializers.UUIDField(help_text="ID of the API key.")
    name = serializers.CharField(help_text="Name of the key, chosen by its creator.")
    hint = serializers.CharField(help_text="The beginning of the key, to identify it.")
    environment = serializers.ChoiceField(
        choices=["live", "test"],
        help_text="Environment in which the key is valid. It is part of the key: `cmcp_sk_live_` or `cmcp_sk_test_`.",
    )
    scopes = serializers.ListField(
        child=serializers.CharField(),
        help_text="Scopes of the key. A request can use only the scopes that the role of the key's creator also allows.",
    )
    status = serializers.SerializerMethodField()
    created_by = serializers.SerializerMethodField("get_created_by")
    created_at = serializers.DateTimeField(help_text="Time of creation.")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When the key expires. null if it does not expire.")
    revoked_at = serializers.DateTimeField(allow_null=True, help_text="When the key was revoked. null if it was not revoked.")
    last_used_at = serializers.DateTimeField(
        allow_null=True, help_text="When the key was last used, with a delay of some seconds. null if it was never used."
    )
    rotated_from = serializers.UUIDField(
        source="rotated_from_id",
        allow_null=True,
        help_text="ID of the key that this key replaced in a rotation. null if it did not replace a key.",
    )

    def get_status(self, key: ApiKey) -> str:
        """Return active, expired, revoked or orphaned. An orphaned key's creator left; an admin can take the key over."""
        return key.status(now(key.organization))

    def get_created_by(self, key: ApiKey) -> str | None:
        """Return the creator's email address."""
        return key.created_by.email if key.created_by else None


class NewKeySchema(KeySchema):
    """A new API key, with its secret."""

    key = serializers.CharField(allow_null=True, help_text="The API key. Shown only once; null in a replayed response.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the JSON of `instance`, a pair of the key and its secret. The secret is None in a replayed response."""
        key, raw = instance
        key.key = raw
        return super().to_representation(key)


class WhoAmISchema(Schema):
    """The identity that a request acts with."""

    organization = OrganizationBriefSchema(help_text="The organization that the request acts for.")
    user = UserSchema(allow_null=True, help_text="The user who is signed in or who created the key. null if the account was deleted.")
    key = KeySchema(allow_null=True, help_text="The API key that authenticates the request. null in a session.")
    role = serializers.ChoiceField(choices=Role.values, help_text="Role of the user in the organization.")
    permissions = serializers.ListField(
        child=serializers.CharField(),
        help_text="Permissions of the request. They follow from the role, and from the scopes of the key if one was sent.",
    )
    scopes = serializers.ListField(
        child=serializers.CharField(), help_text="The scopes that both your role and, if you sent one, your API key allow."
    )
    environment = serializers.ChoiceField(
        choices=["live", "test"], help_text="Environment of this deployment. Keys of the other environment are refused."
    )


class MemberSchema(Schema):
    """A member of an organization."""

    id = serializers.UUIDField(help_text="ID of the membership.")
    email = serializers.EmailField(source="user.email", help_text="Email address of the member.")
    name = serializers.CharField(source="user.name", help_text="Display name of the member. Empty if the member has not entered one.")
    role = serializers.ChoiceField(choices=Role.values, help_text="Role of the member in the organization.")
    created_at = serializers.DateTimeField(help_text="When the member joined.")


class ChangeRoleSchema(Schema):
    """The new role of a member."""

    role = serializers.ChoiceField(choices=Role.values, help_text="New role of the member.")


class InviteSchema(Schema):
    """The person to invite."""

    email = serializers.EmailField(
        max_length=254,
        help_text="Email address to which the invitation is sent. It must be accepted with an account that has this address.",
    )
    role = serializers.ChoiceField(
        choices=Role.values, default=Role.MEMBER, help_text="Role of the member after the invitation is accepted."
    )


class InvitationSchema(Schema):
    """An invitation that was neither accepted nor revoked."""

    id = serializers.UUIDField(help_text="ID of the invitation.")
    email = serializers.EmailField(help_text="Email address to which the invitation is sent.")
    role = serializers.ChoiceField(choices=Role.values, help_text="Role of the member after the invitation is accepted.")
    invited_by = serializers.SerializerMethodField("get_invited_by")
    created_at = serializers.DateTimeField(help_text="Time of creation.")
    expires_at = serializers.DateTimeField(help_text="When the invitation expires.")
    sent_at = serializers.DateTimeField(
        allow_null=True, help_text="When the mail server accepted the email. Null while the email is queued; delivery is retried."
    )

    def get_invited_by(self, invitation: Invitation) -> str | None:
        """Return the inviter's email address."""
        return invitation.invited_by.email if invitation.invited_by else None
