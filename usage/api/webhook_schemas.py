"""Request and response schemas of the webhook endpoints."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contextmcp.common.api import Schema
from contextmcp.common.url_policy import MAX_URL_LENGTH
from usage.models import WebhookDelivery
from usage.webhooks.manager import DEFAULT_OVERLAP, MAX_OVERLAP
from usage.webhooks.outbox import EVENT_TYPES, TEST


@extend_schema_field({"type": "string", "format": "uri", "minLength": 1, "maxLength": MAX_URL_LENGTH})
class AddressField(serializers.CharField):
    """A URL. `usage.webhooks.manager.check_url` validates it."""


class NewEndpointSchema(Schema):
    """The webhook endpoint to create."""

    url = AddressField(min_length=1, max_length=MAX_URL_LENGTH, trim_whitespace=False, help_text="An https:// URL on the public internet.")
    event_types = serializers.ListField(
        child=serializers.ChoiceField(choices=EVENT_TYPES),
        required=False,
        min_length=1,
        max_length=len(EVENT_TYPES),
        help_text="Event types to send. Defaults to all.",
    )
    description = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=200, help_text="Free text for the organization's own use."
    )


class ChangeEndpointSchema(Schema):
    """The fields of a webhook endpoint to change."""

    url = AddressField(
        min_length=1, max_length=MAX_URL_LENGTH, trim_whitespace=False, required=False, help_text="URL that receives the messages."
    )
    event_types = serializers.ListField(
        child=serializers.ChoiceField(choices=EVENT_TYPES),
        required=False,
        min_length=1,
        max_length=len(EVENT_TYPES),
        help_text="Event types to send. They replace the current ones.",
    )
    description = serializers.CharField(
        required=False, allow_blank=True, max_length=200, help_text="Free text for the organization's own use."
    )
    enabled = serializers.BooleanField(
        required=False, help_text="true enables the endpoint again, including after it was disabled automatically."
    )


class RotateSecretSchema(Schema):
    """How long messages are also signed with the previous secret."""

    overlap_seconds = serializers.IntegerField(
        required=False,
        default=int(DEFAULT_OVERLAP.total_seconds()),
        min_value=0,
        max_value=int(MAX_OVERLAP.total_seconds()),
        help_text="Seconds for which messages also carry a signature with the previous secret.",
    )


class EndpointSchema(Schema):
    """A webhook endpoint, without its secret."""

    id = serializers.UUIDField(help_text="ID of the webhook endpoint.")
    url = serializers.CharField(help_text="URL that receives the messages.")
    description = serializers.CharField(help_text="Free text for the organization's own use.")
    event_types = serializers.ListField(
        child=serializers.ChoiceField(choices=EVENT_TYPES), help_text="Event types that are sent to the endpoint."
    )
    enabled = serializers.BooleanField(help_text="An endpoint that returns 410 Gone, or that fails for three days, is disabled.")
    disabled_reason = serializers.CharField(help_text="Why the endpoint is disabled. Empty if it is enabled.")
    failing_since = serializers.DateTimeField(allow_null=True, help_text="Time of the first failed attempt since the last success.")
    previous_secret_expires_at = serializers.DateTimeField(
        allow_null=True, help_text="Until this time, messages are also signed with the previous secret."
    )
    created_at = serializers.DateTimeField(help_text="Time of creation.")


class EndpointWithSecretSchema(EndpointSchema):
    """A webhook endpoint with its signing secret."""

    secret = serializers.CharField(
        allow_null=True,
        help_text="Signing secret: `whsec_` and base64. Shown once; null in the response to a repeated request.",
    )

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return the JSON of `instance`, a pair of the endpoint and its secret. The secret is None in a replayed response."""
        endpoint, secret = instance
        return {**EndpointSchema(endpoint).data, "secret": secret}


class DeliverySchema(Schema):
    """A message to a webhook endpoint."""

    id = serializers.UUIDField(help_text="ID of the delivery.")
    message_id = serializers.CharField(help_text="Value of the `webhook-id` header, the same for every attempt.")
    event_type = serializers.ChoiceField(choices=(*EVENT_TYPES, TEST), help_text="Type of the event.")
    state = serializers.ChoiceField(
        choices=WebhookDelivery.State.values,
        help_text="pending: delivery is still attempted. delivered: the endpoint accepted the message. failed: no further attempt is made.",
    )
    attempts = serializers.IntegerField(min_value=0, help_text="Number of attempts made.")
    next_attempt_at = serializers.SerializerMethodField("get_next_attempt_at")
    last_status = serializers.IntegerField(allow_null=True, help_text="HTTP status of the last response.")
    last_error = serializers.CharField(
        help_text=(
            "Why there was no response: timeout, unknown_host, no_connection, tls_failed, bad_answer, address_refused, endpoint_disabled"
            " or secret_unreadable. Empty if there was a response."
        )
    )
    created_at = serializers.DateTimeField(help_text="Time of creation.")
    finished_at = serializers.DateTimeField(
        allow_null=True, help_text="When the message was delivered or failed. null while it is pending."
    )

    def get_next_attempt_at(self, delivery: WebhookDelivery) -> str | None:
        """Return the time of the next attempt, or None after the message was delivered or failed."""
        if delivery.state != WebhookDelivery.State.PENDING:
            return None
        return str(serializers.DateTimeField().to_representation(delivery.next_attempt_at))


class AttemptSchema(Schema):
    """One attempt to send a message."""

    at = serializers.DateTimeField(help_text="When the result was known.")
    status = serializers.IntegerField(allow_null=True, help_text="HTTP status of the response. null if there was none.")
    error = serializers.CharField(help_text="Why there was no response, as in `lastError`. Empty if there was one.")
    milliseconds = serializers.IntegerField(allow_null=True, min_value=0, help_text="Time until the result. null if nothing was sent.")


class DeliveryWithBodySchema(DeliverySchema):
    """A message to a webhook endpoint with its content and its attempts."""

    body = serializers.CharField(help_text="Body of the request, exactly as it is signed and sent.")
    attempt_log = AttemptSchema(many=True, help_text="All attempts, oldest first, including those before the message was resent.")
