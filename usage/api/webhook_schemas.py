"""The bodies of the webhook endpoints' operations."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contextmcp.common.api import Schema
from usage.models import WebhookDelivery
from usage.webhooks.addresses import MOST_LENGTH
from usage.webhooks.outbox import EVENT_TYPES, TEST


@extend_schema_field({"type": "string", "format": "uri", "minLength": 1, "maxLength": MOST_LENGTH})
class AddressField(serializers.CharField):
    """Judged by the manager, in words of its own."""


class NewEndpointSchema(Schema):
    url = AddressField(min_length=1, max_length=MOST_LENGTH, trim_whitespace=False, help_text="An https:// address on the public internet.")
    event_types = serializers.ListField(
        child=serializers.ChoiceField(choices=EVENT_TYPES),
        required=False,
        min_length=1,
        max_length=len(EVENT_TYPES),
        help_text="What to be told of; by default everything.",
    )
    description = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


class EndpointSchema(Schema):
    id = serializers.UUIDField()
    url = serializers.CharField()
    description = serializers.CharField()
    event_types = serializers.ListField(child=serializers.ChoiceField(choices=EVENT_TYPES))
    enabled = serializers.BooleanField(help_text="An endpoint that answers 410 Gone is disabled.")
    disabled_reason = serializers.CharField()
    created_at = serializers.DateTimeField()


class EndpointWithSecretSchema(EndpointSchema):
    secret = serializers.CharField(
        allow_null=True,
        help_text="whsec_ and base64: verifies signatures. Shown this once; null when a repeated request is answered again.",
    )

    def to_representation(self, instance: Any) -> dict[str, Any]:
        made, secret = instance
        return {**EndpointSchema(made).data, "secret": secret}


class DeliverySchema(Schema):
    id = serializers.UUIDField()
    message_id = serializers.CharField(help_text="The header webhook-id, the same on every attempt.")
    event_type = serializers.ChoiceField(choices=(*EVENT_TYPES, TEST))
    state = serializers.ChoiceField(choices=WebhookDelivery.State.values)
    attempts = serializers.IntegerField(min_value=0)
    next_attempt_at = serializers.SerializerMethodField("get_next_attempt_at")
    last_status = serializers.IntegerField(allow_null=True, help_text="The HTTP status that was answered last.")
    last_error = serializers.CharField(
        help_text=(
            "Why there was no answer: timeout, unknown_host, no_connection, tls_failed, bad_answer, address_refused, endpoint_disabled,"
            " secret_unreadable; or nothing."
        )
    )
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_next_attempt_at(self, delivery: WebhookDelivery) -> str | None:
        """Null once it is delivered or given up."""
        if delivery.state != WebhookDelivery.State.PENDING:
            return None
        return str(serializers.DateTimeField().to_representation(delivery.next_attempt_at))
