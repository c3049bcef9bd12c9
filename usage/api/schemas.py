"""The bodies of usage's endpoints, as the OpenAPI document tells them. Reading is `usage.requests`' and `usage.ingest`'s work."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contextmcp.common.api import Schema
from entitlements.catalog import CATALOG
from usage.asking import COUNTED
from usage.requests import MOST_HELD_SECONDS
from usage.types import MOST_AT_ONCE, MOST_ITEMS, Kind, Verdict

_KINDS = [kind.value for kind in Kind]


def _names(*kinds: Kind) -> dict[str, Any]:
    """The names there are, for the document; the tracker refuses others in its own words."""
    return {"type": "string", "enum": [feature.name for feature in CATALOG.features if feature.kind in kinds]}


def level_names() -> dict[str, Any]:
    named = _names(Kind.LIMIT)
    return {**named, "enum": [name for name in named["enum"] if name not in COUNTED]}


@extend_schema_field(_names(*Kind))
class FeatureField(serializers.CharField):
    """Anything of the catalogue."""


@extend_schema_field(_names(Kind.QUOTA, Kind.RATE))
class MeterField(serializers.CharField):
    """What is counted by the month or by the minute."""


def _amount(**options: object) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=MOST_AT_ONCE, **options)  # type: ignore[arg-type]


@extend_schema_field(_names(Kind.QUOTA))
class QuotaField(serializers.CharField):
    """What is counted by the month, and so can be held."""


@extend_schema_field({"type": "boolean", "const": True, "description": "Reserve it; settle the true amount later."})
class YesField(serializers.BooleanField): ...


@extend_schema_field({"type": "boolean", "const": False})
class NoField(serializers.BooleanField): ...


class ItemSchema(Schema):
    feature = FeatureField()
    amount = _amount(required=False, default=1)


class AuthorizeSchema(Schema):
    feature = FeatureField()
    amount = _amount(required=False)
    hold = NoField(required=False)


class ReserveSchema(Schema):
    """An estimate, to be settled later."""

    feature = QuotaField()
    amount = _amount(required=False)
    hold = YesField()
    hold_seconds = serializers.IntegerField(
        min_value=1, max_value=MOST_HELD_SECONDS, required=False, help_text="When the hold expires by itself. 900 unless said."
    )


class AuthorizeSeveralSchema(Schema):
    """All of them or none."""

    items = serializers.ListField(child=ItemSchema(), min_length=1, max_length=MOST_ITEMS)


class GrantedItemSchema(Schema):
    feature = serializers.CharField()
    kind = serializers.ChoiceField(choices=_KINDS)
    amount = serializers.IntegerField()
    used = serializers.IntegerField(allow_null=True)
    limit = serializers.IntegerField(allow_null=True, help_text="null: unlimited")
    remaining = serializers.IntegerField(allow_null=True)
    overage = serializers.IntegerField(help_text="How much of what is used lies beyond the limit.")
    resets_at = serializers.DateTimeField(allow_null=True)


class HoldSchema(Schema):
    id = serializers.UUIDField()
    expires_at = serializers.DateTimeField()


class GrantedSchema(Schema):
    allowed = serializers.BooleanField()
    recorded = serializers.BooleanField(help_text="false: allowed while the database could not be reached, and not counted.")
    feature = serializers.CharField(required=False)
    kind = serializers.ChoiceField(choices=_KINDS, required=False)
    amount = serializers.IntegerField(required=False)
    used = serializers.IntegerField(allow_null=True, required=False)
    limit = serializers.IntegerField(allow_null=True, required=False, help_text="null: unlimited")
    remaining = serializers.IntegerField(allow_null=True, required=False)
    overage = serializers.IntegerField(required=False, help_text="How much of what is used lies beyond the limit.")
    resets_at = serializers.DateTimeField(allow_null=True, required=False)
    hold = HoldSchema(required=False)
    items = GrantedItemSchema(many=True, required=False, help_text="When several were asked for.")


class DecisionSchema(Schema):
    allowed = serializers.BooleanField()
    code = serializers.CharField(allow_null=True, help_text="Why not; null when allowed.")
    detail = serializers.CharField(required=False)
    feature = serializers.CharField()
    kind = serializers.ChoiceField(choices=_KINDS, required=False)
    amount = serializers.IntegerField()
    used = serializers.IntegerField(allow_null=True)
    limit = serializers.IntegerField(allow_null=True)
    remaining = serializers.IntegerField(allow_null=True)
    overage = serializers.IntegerField(required=False)
    resets_at = serializers.DateTimeField(allow_null=True)
    retry_after = serializers.IntegerField(allow_null=True, required=False)
    upgrade_url = serializers.CharField(allow_null=True, required=False)
    plan = serializers.CharField()


class EventSchema(Schema):
    feature = MeterField(help_text="A meter: what is counted by the month or by the minute.")
    amount = serializers.IntegerField(
        min_value=-MOST_AT_ONCE,
        max_value=MOST_AT_ONCE,
        required=False,
        default=1,
        help_text="Negative: a correction, which needs a reason.",
    )
    idempotency_key = serializers.RegexField(r"^[ -~]+$", min_length=1, max_length=255, required=False, allow_null=True)
    occurred_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="At most 35 days ago, at most 5 minutes ahead; now unless said."
    )
    reason = serializers.CharField(max_length=500, required=False, allow_null=True, allow_blank=True)
    properties = serializers.DictField(required=False, allow_null=True, help_text="Kept as it is; at most 4,096 bytes.")


EVENTS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"$ref": "#/components/schemas/EventSchemaRequest"}, {}]},
    "description": "1 to 1,000. Each is answered for itself: what is no event is refused alone.",
}


@extend_schema_field(EVENTS)
class EventsField(serializers.ListField): ...


class EventsSchema(Schema):
    events = EventsField()


class EventResultSchema(Schema):
    status = serializers.ChoiceField(choices=[verdict.value for verdict in Verdict])
    code = serializers.CharField(required=False)
    detail = serializers.CharField(required=False)
    errors = serializers.ListField(child=serializers.DictField(), required=False)  # type: ignore[assignment]


class EventsResultSchema(Schema):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = EventResultSchema(many=True)


class StandingSchema(Schema):
    feature = serializers.CharField()
    kind = serializers.ChoiceField(choices=[kind for kind in _KINDS if kind != Kind.FLAG.value])
    used = serializers.IntegerField(allow_null=True, help_text="null: a rate, of which only the last minute counts.")
    held = serializers.IntegerField(help_text="Reserved by open holds.")
    included = serializers.IntegerField(allow_null=True, help_text="null: unlimited")
    remaining = serializers.IntegerField(allow_null=True)
    overage = serializers.IntegerField()
    resets_at = serializers.DateTimeField(allow_null=True)
    window_seconds = serializers.IntegerField(allow_null=True)


class CurrentSchema(Schema):
    organization_id = serializers.UUIDField()
    plan = serializers.CharField()
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    usage = StandingSchema(many=True)


class TotalSchema(Schema):
    start = serializers.DateTimeField()
    feature = serializers.CharField()
    amount = serializers.IntegerField()
    events = serializers.IntegerField()
    key_id = serializers.UUIDField(allow_null=True)
    member_id = serializers.IntegerField(allow_null=True)


class HistorySchema(Schema):
    interval = serializers.ChoiceField(choices=["hour", "day", "month"])
    group_by = serializers.ChoiceField(choices=["meter", "key", "member"])
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    data = TotalSchema(many=True)  # type: ignore[assignment]
    next_cursor = serializers.CharField(allow_null=True)


class SettleSchema(Schema):
    amount = serializers.IntegerField(min_value=0, max_value=MOST_AT_ONCE, help_text="What was used, even if it is more than was held.")


class SettledSchema(Schema):
    id = serializers.UUIDField()
    feature = serializers.CharField()
    state = serializers.ChoiceField(choices=["settled", "released", "expired"])
    held = serializers.IntegerField()
    settled = serializers.IntegerField()


class LevelSchema(Schema):
    value = serializers.IntegerField(min_value=0, max_value=MOST_AT_ONCE * 1000)


class GiveBackSchema(Schema):
    amount = _amount(required=False, default=1)
