"""Request and response schemas of the endpoints in `contextmcp.web`."""

from rest_framework import serializers

from accounts.roles import Role
from contextmcp.common.api import Schema


class OrganizationSchema(Schema):
    """An organization with its plan."""

    id = serializers.UUIDField(help_text="ID of the organization.")
    name = serializers.CharField(help_text="Display name of the organization.")
    slug = serializers.CharField(help_text="Name of the organization in URLs.")
    email = serializers.EmailField(help_text="Billing email address.")
    plan = serializers.CharField(help_text="Name of the current plan.")
    plan_version = serializers.IntegerField(help_text="Version of the current plan.")
    status = serializers.CharField(help_text="Status of the subscription, or `none`.")
    members_count = serializers.IntegerField(help_text="Number of members.")
    stripe_customer_id = serializers.CharField(allow_null=True, help_text="ID of the customer at Stripe. null before the first checkout.")
    created_at = serializers.DateTimeField(help_text="Time of creation.")


class AcceptSchema(Schema):
    """The invitation to accept."""

    token = serializers.CharField(max_length=200, help_text="The last path segment of the link in the invitation email.")


class AcceptedSchema(Schema):
    """The membership that accepting an invitation created."""

    organization_id = serializers.UUIDField(help_text="ID of the organization that was joined.")
    organization = serializers.CharField(help_text="Display name of the organization.")
    member_id = serializers.UUIDField(help_text="ID of the new membership.")
    role = serializers.ChoiceField(Role.choices, help_text="Role of the new member.")
