"""OpenAPI schemas of usage events. `usage.ingest.event_parsing` parses the actual bodies."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contextmcp.common.api import Schema
from usage.ingest.event_parsing import MAX_EVENTS
from usage.types import MAX_AMOUNT, EventStatus, Kind

from .schemas import CustomerSchema, MeterField, feature_names


class EventSchema(Schema):
    """An event of usage, or a correction."""

    feature = MeterField(help_text="Name of a meter: a quota or a rate limit.")
    amount = serializers.IntegerField(
        min_value=-MAX_AMOUNT,
        max_value=MAX_AMOUNT,
        required=False,
        default=1,
        help_text=(
            "Units. A negative amount is a correction and requires a reason. It subtracts at most the units counted in its period; the "
            "field `applied` of the result contains the amount that was subtracted."
        ),
    )
    idempotency_key = serializers.RegexField(
        r"^[ -~]+$",
        min_length=1,
        max_length=255,
        required=False,
        allow_null=True,
        help_text="Identifies the event, so that it is counted once.",
    )
    occurred_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="At most 35 days in the past and 5 minutes in the future. Defaults to now."
    )
    reason = serializers.CharField(
        max_length=500,
        required=False,
        allow_null=True,
        allow_blank=True,
        help_text="Why the correction is made. Required for a negative amount.",
    )
    properties = serializers.DictField(required=False, allow_null=True, help_text="Stored unchanged. At most 4,096 bytes.")
    credit = serializers.BooleanField(
        required=False,
        default=False,
        help_text="true: a negative amount of a monthly quota increases the allowance of the period instead of correcting usage.",
    )


class SingleEventSchema(CustomerSchema, EventSchema):
    """A request body with one event."""


EVENTS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"$ref": "#/components/schemas/EventSchemaRequest"}, {}]},
    "description": "1 to 1,000 events. Each has its own result; an invalid event does not affect the others.",
}


CLOUD_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "A CloudEvent 1.0 in structured mode.",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"type": "string", "const": "1.0", "description": "Version of the CloudEvents specification."},
        "id": {"type": "string", "minLength": 1, "maxLength": 120, "description": "With `source`, the event's idempotency key."},
        "source": {"type": "string", "minLength": 1, "maxLength": 120, "description": "With `id`, the event's idempotency key."},
        "type": {**feature_names(Kind.QUOTA, Kind.RATE_LIMIT), "description": "Name of a meter: a quota or a rate limit."},
        "time": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "At most 35 days in the past and 5 minutes in the future. Defaults to now.",
        },
        "data": {
            "type": ["object", "null"],
            "description": "At most 4,096 bytes. `amount` (units, 1 by default), `reason` and `credit` are read; all of it is stored.",
        },
    },
}


CLOUD_EVENTS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": MAX_EVENTS,
    "items": CLOUD_EVENT,
    "description": "CloudEvents in batch mode. Each has its own result; an invalid event does not affect the others.",
}


@extend_schema_field(EVENTS)
class EventsField(serializers.ListField):
    """A list of events. Each event is validated separately."""


class EventsSchema(CustomerSchema):
    """A request body with several events."""

    events = EventsField()


class EventResultSchema(Schema):
    """The result of one event."""

    status = serializers.ChoiceField(
        choices=[status.value for status in EventStatus],
        help_text="Whether the event was counted, had been counted before, or was refused.",
    )
    code = serializers.CharField(required=False, help_text="Code of the refusal.")
    detail = serializers.CharField(required=False, help_text="Explanation of the refusal.")
    errors = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        help_text="Invalid fields, each with its name (`field`) and a description of the error (`message`).",
    )  # type: ignore[assignment]
    applied = serializers.IntegerField(required=False, max_value=0, help_text="For a correction: the amount subtracted (0 or negative).")


class EventsResultSchema(Schema):
    """The results of all events of a request."""

    accepted = serializers.IntegerField(help_text="Number of events that were counted.")
    duplicates = serializers.IntegerField(help_text="Number of events that had been counted before.")
    refused = serializers.IntegerField(help_text="Number of events that were refused.")
    results = EventResultSchema(many=True, help_text="One result for each event, in the order of the request.")
