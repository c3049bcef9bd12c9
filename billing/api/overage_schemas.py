"""Request and response schemas of the overage endpoint. Amounts are in the minor unit of `currency`."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from contextmcp.common.api import Schema


class OverageSchema(Schema):
    """The overage setting. Overage is usage beyond the quota, billed at a price per unit."""

    feature = serializers.CharField(help_text="The metered feature.")
    enabled = serializers.BooleanField(help_text="Whether usage beyond the quota is allowed and billed.")
    cap = serializers.IntegerField(
        allow_null=True, help_text="Maximum overage per usage month, in minor units. null if overage is disabled."
    )
    max_per_invoice = serializers.IntegerField(
        allow_null=True,
        help_text="Maximum overage on one invoice, in minor units. Twice the cap if usage months and invoices start on different days.",
    )
    unit_amount = serializers.IntegerField(help_text="Price per unit, in minor units.")
    currency = serializers.CharField(help_text="Three-letter currency code, in lowercase.")


@extend_schema_field({"type": "boolean", "const": True})
class TrueField(serializers.BooleanField):
    """A Boolean field that accepts only true."""


@extend_schema_field({"type": "boolean", "const": False})
class FalseField(serializers.BooleanField):
    """A Boolean field that accepts only false."""


class OverageOnSchema(Schema):
    """Enables overage. A cap is required."""

    enabled = TrueField(help_text="Allows and bills usage beyond the quota.")
    cap = serializers.IntegerField(min_value=1, max_value=100_000_000, help_text="Maximum overage per usage month, in minor units.")


class OverageOffSchema(Schema):
    """Disables overage."""

    enabled = FalseField(help_text="Refuses usage beyond the quota.")
    cap = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=100_000_000,
        help_text="Maximum overage per usage month, in minor units. It has no effect while overage is disabled.",
    )


class OverageRequestSchema(Schema):
    """The overage setting to store."""

    enabled = serializers.BooleanField(help_text="Whether usage beyond the quota is allowed and billed.")
    cap = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=100_000_000,
        help_text="Maximum overage per usage month, in minor units.",
    )
