"""What the endpoints that join apps take and answer."""

from rest_framework import serializers

from accounts.roles import Role
from contextmcp.common.api import Schema


class OrganizationSchema(Schema):
    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField()
    email = serializers.EmailField(help_text="Where bills go.")
    plan = serializers.CharField()
    plan_version = serializers.IntegerField()
    status = serializers.CharField(help_text="The subscription's, or `none`.")
    members_count = serializers.IntegerField()
    stripe_customer_id = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()


class AcceptSchema(Schema):
    token = serializers.CharField(max_length=200, help_text="The last part of the link in the mail.")


class AcceptedSchema(Schema):
    organization_id = serializers.UUIDField()
    organization = serializers.CharField()
    member_id = serializers.UUIDField()
    role = serializers.ChoiceField(Role.choices)
