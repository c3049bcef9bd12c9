"""OpenAPI schemas of the usage endpoints. `usage.authorize.requests` and `usage.ingest.event_parsing` parse the actual bodies."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contextmcp.common.api import Schema
from entitlements.catalog import CATALOG
from usage.authorize.build import DERIVED_FEATURES
from usage.authorize.requests import MAX_HOLD_SECONDS
from usage.ingest.event_parsing import MAX_EVENTS
from usage.types import MAX_AMOUNT, MAX_ITEMS, MAX_TOOL_NAME_LENGTH, EventStatus, Kind

_KINDS = [kind.value for kind in Kind]


def _names(*kinds: Kind) -> dict[str, Any]:
    """Return an enum schema of the catalog's feature names of these kinds. It documents the API; the tracker validates names."""
    return _enum([feature.name for feature in CATALOG.features if feature.kind in kinds])


def _enum(names: list[str]) -> dict[str, Any]:
    # JSON Schema allows no empty enum, and a catalog can lack a kind of feature.
    return {"type": "string", "enum": names} if names else {"type": "string"}


def gauge_names() -> dict[str, Any]:
    """Return an enum schema of the gauges that can be set, which excludes derived ones."""
    return _enum([feature.name for feature in CATALOG.features if feature.kind is Kind.GAUGE and feature.name not in DERIVED_FEATURES])


@extend_schema_field(_names(*Kind))
class FeatureField(serializers.CharField):
    """Name of any feature in the catalog."""


@extend_schema_field(_names(Kind.QUOTA, Kind.RATE_LIMIT))
class MeterField(serializers.CharField):
    """Name of a meter: a quota or a rate limit."""


def _amount(**options: object) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=MAX_AMOUNT, **options)  # type: ignore[arg-type]


@extend_schema_field(_names(Kind.QUOTA))
class QuotaField(serializers.CharField):
    """Name of a feature with a monthly quota, which can be held."""


@extend_schema_field({"type": "boolean", "const": True, "description": "true: reserve the amount. Settle the actual amount later."})
class TrueField(serializers.BooleanField):
    """A Boolean field that accepts only true."""


@extend_schema_field({"type": "boolean", "const": False, "description": "false: record the amount at once."})
class FalseField(serializers.BooleanField):
    """A Boolean field that accepts only false."""


# Names the customer that a service key acts for. Requests with a customer's own key or session must not contain these fields.
class CustomerSchema(Schema):
    """The customer that a service key acts for."""

    credential = serializers.CharField(
        required=False,
        help_text="Only with a service key: the customer's API key or access token, as an alternative to `organizationId` or a header.",
    )
    organization_id = serializers.UUIDField(
        required=False,
        help_text="Only with a service key: ID of the customer's organization, as an alternative to `credential` or a header.",
    )


class ItemSchema(Schema):
    """A feature and an amount."""

    feature = FeatureField(help_text="Name of the feature.")
    amount = _amount(required=False, default=1, help_text="Units. Defaults to 1.")


class CheckSchema(CustomerSchema, ItemSchema):
    """A feature and an amount to check."""


class AuthorizeSchema(CustomerSchema):
    """A feature and an amount to record."""

    feature = FeatureField(help_text="Name of the feature.")
    amount = _amount(required=False, help_text="Units. Defaults to 1.")
    hold = FalseField(required=False)


class ReserveSchema(CustomerSchema):
    """Reserves an estimated amount, which is settled later."""

    feature = QuotaField(help_text="Name of the feature.")
    amount = _amount(required=False, help_text="Units. Defaults to 1.")
    hold = TrueField()
    hold_seconds = serializers.IntegerField(
        min_value=1, max_value=MAX_HOLD_SECONDS, required=False, help_text="Seconds until the hold expires. Defaults to 900."
    )


class AuthorizeSeveralSchema(CustomerSchema):
    """Authorizes several features together: all of them or none."""

    items = serializers.ListField(
        child=ItemSchema(), min_length=1, max_length=MAX_ITEMS, help_text="Features that are authorized together: all of them or none."
    )


class AuthorizedItemSchema(Schema):
    """The result for one feature of an authorized request."""

    feature = serializers.CharField(help_text="Name of the feature.")
    kind = serializers.ChoiceField(choices=_KINDS, help_text="Type of the feature.")
    amount = serializers.IntegerField(help_text="Units requested.")
    used = serializers.IntegerField(allow_null=True, help_text="Units used or in use, including this request if it was recorded.")
    limit = serializers.IntegerField(allow_null=True, help_text="Units allowed. null: unlimited.")
    remaining = serializers.IntegerField(allow_null=True, help_text="Units left within the limit. null: unlimited or not applicable.")
    overage = serializers.IntegerField(help_text="Units used beyond the limit.")
    resets_at = serializers.DateTimeField(allow_null=True, help_text="When the quota or rate limit resets. null if waiting does not help.")


class HoldSchema(Schema):
    """A reservation of units."""

    id = serializers.UUIDField(help_text="ID of the hold.")
    expires_at = serializers.DateTimeField(help_text="When the hold expires if it is neither settled nor released.")


class AuthorizedSchema(Schema):
    """The result of an authorized request."""

    allowed = serializers.BooleanField(help_text="Whether the request is allowed.")
    recorded = serializers.BooleanField(help_text="false: allowed during a database outage and not counted.")
    feature = serializers.CharField(required=False, help_text="Name of the feature.")
    kind = serializers.ChoiceField(choices=_KINDS, required=False, help_text="Type of the feature.")
    amount = serializers.IntegerField(required=False, help_text="Units requested.")
    used = serializers.IntegerField(
        allow_null=True, required=False, help_text="Units used or in use, including this request if it was recorded."
    )
    limit = serializers.IntegerField(allow_null=True, required=False, help_text="Units allowed. null: unlimited.")
    remaining = serializers.IntegerField(
        allow_null=True, required=False, help_text="Units left within the limit. null: unlimited or not applicable."
    )
    overage = serializers.IntegerField(required=False, help_text="Units used beyond the limit.")
    resets_at = serializers.DateTimeField(
        allow_null=True, required=False, help_text="When the quota or rate limit resets. null if waiting does not help."
    )
    hold = HoldSchema(required=False, help_text="The hold, if the request reserved an amount.")
    items = AuthorizedItemSchema(many=True, required=False, help_text="One result per item, if the request had `items`.")


class DecisionSchema(Schema):
    """The result of a check, which records nothing."""

    allowed = serializers.BooleanField(help_text="Whether the request is allowed.")
    code = serializers.CharField(allow_null=True, help_text="Code of the refusal; null when allowed.")
    detail = serializers.CharField(required=False, help_text="Explanation of the refusal.")
    feature = serializers.CharField(help_text="Name of the feature.")
    kind = serializers.ChoiceField(choices=_KINDS, required=False, help_text="Type of the feature.")
    amount = serializers.IntegerField(help_text="Units requested.")
    used = serializers.IntegerField(allow_null=True, help_text="Units used or in use, without this request.")
    limit = serializers.IntegerField(allow_null=True, help_text="Units allowed. null: unlimited.")
    remaining = serializers.IntegerField(allow_null=True, help_text="Units left within the limit. null: unlimited or not applicable.")
    overage = serializers.IntegerField(required=False, help_text="Units used beyond the limit.")
    resets_at = serializers.DateTimeField(allow_null=True, help_text="When the quota or rate limit resets. null if waiting does not help.")
    retry_after = serializers.IntegerField(allow_null=True, required=False, help_text="Seconds until the request can succeed.")
    upgrade_url = serializers.CharField(allow_null=True, required=False, help_text="Page where a larger plan can be bought.")
    plan = serializers.CharField(help_text="Name of the organization's plan.")


class EventSchema(Schema):
    """An event of usage, or a correction."""

    feature = MeterField(help_text="Name of a meter: a quota or a rate limit.")
    amount = serializers.IntegerField(
        min_value=-MAX_AMOUNT,
        max_value=MAX_AMOUNT,
        required=False,
        default=1,
        help_text=(
            "Units. A negative amount is a correction and requires a reason. It subtracts at most what was counted in its period; "
            "`applied` of the result is the amount subtracted."
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
        help_text="For a negative amount of a monthly quota: increases the allowance of its period instead of correcting usage.",
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
        "type": {**_names(Kind.QUOTA, Kind.RATE_LIMIT), "description": "Name of a meter: a quota or a rate limit."},
        "time": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "At most 35 days in the past and 5 minutes in the future. Defaults to now.",
        },
        "data": {
            "type": ["object", "null"],
            "description": "`amount` (units, 1 by default), `reason` and `credit` are read. All of it is stored. At most 4,096 bytes.",
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
    """A list of events, each of which is checked on its own."""


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
        help_text="Invalid fields: for each its name (`field`) and what is wrong (`message`).",
    )  # type: ignore[assignment]
    applied = serializers.IntegerField(required=False, max_value=0, help_text="For a correction: the amount subtracted (0 or negative).")


class EventsResultSchema(Schema):
    """The results of all events of a request."""

    accepted = serializers.IntegerField(help_text="Number of events that were counted.")
    duplicates = serializers.IntegerField(help_text="Number of events that had been counted before.")
    refused = serializers.IntegerField(help_text="Number of events that were refused.")
    results = EventResultSchema(many=True, help_text="One result for each event, in the order of the request.")


class FeatureUsageSchema(Schema):
    """The current usage of one feature."""

    feature = serializers.CharField(help_text="Name of the feature.")
    kind = serializers.ChoiceField(choices=[kind for kind in _KINDS if kind != Kind.BOOLEAN.value], help_text="Type of the feature.")
    used = serializers.IntegerField(allow_null=True, help_text="Units used or in use. null for a rate limit.")
    held = serializers.IntegerField(help_text="Units reserved by open holds.")
    included = serializers.IntegerField(allow_null=True, help_text="Units included in the plan, plus credited units. null: unlimited.")
    remaining = serializers.IntegerField(allow_null=True, help_text="Units left within the limit. null: unlimited or not applicable.")
    overage = serializers.IntegerField(help_text="Units used beyond the included units.")
    resets_at = serializers.DateTimeField(allow_null=True, help_text="When the quota resets. null for other kinds.")
    window_seconds = serializers.IntegerField(
        allow_null=True, help_text="Length of a rate limit's window, in seconds. null for other kinds."
    )
    credited = serializers.IntegerField(help_text="Additional units granted for this period.")


class CurrentSchema(Schema):
    """The current usage of all metered features."""

    organization_id = serializers.UUIDField(help_text="ID of the organization.")
    plan = serializers.CharField(help_text="Name of the organization's plan.")
    period_start = serializers.DateTimeField(help_text="Start of the current usage month.")
    period_end = serializers.DateTimeField(help_text="End of the current usage month.")
    usage = FeatureUsageSchema(many=True, help_text="Usage of each metered feature.")


class TotalSchema(Schema):
    """The usage in one interval."""

    start = serializers.DateTimeField(help_text="Start of the hour, day or month (UTC).")
    feature = serializers.CharField(help_text="Name of the feature.")
    amount = serializers.IntegerField(help_text="Units used.")
    events = serializers.IntegerField(help_text="Number of events.")
    key_id = serializers.UUIDField(allow_null=True, help_text="API key or connected app, when grouped by key.")
    member_id = serializers.IntegerField(allow_null=True, help_text="ID of the user, when grouped by member.")
    tool = serializers.CharField(allow_null=True, help_text="MCP tool that was charged, when grouped by tool. null for other usage.")


class HistorySchema(Schema):
    """A page of totals."""

    interval = serializers.ChoiceField(choices=["hour", "day", "month"], help_text="Length of the time that each total covers.")
    group_by = serializers.ChoiceField(
        choices=["meter", "key", "member", "tool"],
        help_text="Whether totals are per feature only (meter), or also per API key, member or MCP tool.",
    )
    since = serializers.DateTimeField(help_text="Start of the range, inclusive.")
    until = serializers.DateTimeField(help_text="End of the range, exclusive.")
    data = TotalSchema(many=True, help_text="Totals, ordered by time.")  # type: ignore[assignment]
    next_cursor = serializers.CharField(allow_null=True, help_text="Cursor of the next page. null on the last page.")


class SettleSchema(CustomerSchema):
    """The amount that was actually used."""

    amount = serializers.IntegerField(min_value=0, max_value=MAX_AMOUNT, help_text="Units actually used. May be more than was held.")
    tool = serializers.RegexField(
        r"^[!-~]*$",
        max_length=MAX_TOOL_NAME_LENGTH,
        required=False,
        help_text="Name of the MCP tool that used the units. The usage history groups by it.",
    )


class SettledSchema(Schema):
    """A hold that has ended."""

    id = serializers.UUIDField(help_text="ID of the hold.")
    feature = serializers.CharField(help_text="Name of the feature.")
    state = serializers.ChoiceField(
        choices=["settled", "released", "expired"], help_text="How the hold ended: by settling it, by releasing it, or by its time."
    )
    held = serializers.IntegerField(help_text="Units that were held.")
    settled = serializers.IntegerField(help_text="Units that were recorded.")


class GaugeSchema(CustomerSchema):
    """The new value of a gauge."""

    value = serializers.IntegerField(min_value=0, max_value=MAX_AMOUNT * 1000, help_text="Units in use.")


class GaugeDecreaseSchema(CustomerSchema):
    """The units to release from a gauge."""

    amount = _amount(required=False, default=1, help_text="Units to release. Defaults to 1.")
