"""OpenAPI schemas of authorization, holds and gauges, and fields of all usage endpoints. `usage.authorize.requests` parses the bodies."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contextmcp.common.api import Schema
from entitlements.catalog import CATALOG
from usage.authorize.build import DERIVED_FEATURES
from usage.authorize.requests import MAX_HOLD_SECONDS
from usage.types import MAX_AMOUNT, MAX_ITEMS, MAX_TOOL_NAME_LENGTH, Kind

KINDS = [kind.value for kind in Kind]


def feature_names(*kinds: Kind) -> dict[str, Any]:
    """Return an enum schema of the catalog's feature names of these kinds. It documents the API; the tracker validates names."""
    return _enum([feature.name for feature in CATALOG.features if feature.kind in kinds])


def _enum(names: list[str]) -> dict[str, Any]:
    # JSON Schema does not allow an empty enum, but a catalog may have no feature of a kind.
    return {"type": "string", "enum": names} if names else {"type": "string"}


def gauge_names() -> dict[str, Any]:
    """Return an enum schema of the gauges that can be set, which excludes derived ones."""
    return _enum([feature.name for feature in CATALOG.features if feature.kind is Kind.GAUGE and feature.name not in DERIVED_FEATURES])


@extend_schema_field(feature_names(*Kind))
class FeatureField(serializers.CharField):
    """Name of any feature in the catalog."""


@extend_schema_field(feature_names(Kind.QUOTA, Kind.RATE_LIMIT))
class MeterField(serializers.CharField):
    """Name of a meter: a quota or a rate limit."""


def _amount(**options: object) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=MAX_AMOUNT, **options)  # type: ignore[arg-type]


@extend_schema_field(feature_names(Kind.QUOTA))
class QuotaField(serializers.CharField):
    """Name of a feature with a monthly quota, which can be held."""


@extend_schema_field({"type": "boolean", "const": True, "description": "true: reserve the amount. Settle the actual amount later."})
class TrueField(serializers.BooleanField):
    """A Boolean field that accepts only true."""


@extend_schema_field({"type": "boolean", "const": False, "description": "false: record the amount immediately."})
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
    kind = serializers.ChoiceField(choices=KINDS, help_text="Type of the feature.")
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
    kind = serializers.ChoiceField(choices=KINDS, required=False, help_text="Type of the feature.")
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
    kind = serializers.ChoiceField(choices=KINDS, required=False, help_text="Type of the feature.")
    amount = serializers.IntegerField(help_text="Units requested.")
    used = serializers.IntegerField(allow_null=True, help_text="Units used or in use, without this request.")
    limit = serializers.IntegerField(allow_null=True, help_text="Units allowed. null: unlimited.")
    remaining = serializers.IntegerField(allow_null=True, help_text="Units left within the limit. null: unlimited or not applicable.")
    overage = serializers.IntegerField(required=False, help_text="Units used beyond the limit.")
    resets_at = serializers.DateTimeField(allow_null=True, help_text="When the quota or rate limit resets. null if waiting does not help.")
    retry_after = serializers.IntegerField(allow_null=True, required=False, help_text="Seconds until the request can succeed.")
    upgrade_url = serializers.CharField(allow_null=True, required=False, help_text="Page where a larger plan can be bought.")
    plan = serializers.CharField(help_text="Name of the organization's plan.")


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
