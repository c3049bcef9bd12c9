"""Response schemas of the reports: current usage and usage history."""

from rest_framework import serializers

from contextmcp.common.api import Schema
from usage.types import Kind

from .schemas import KINDS


class FeatureUsageSchema(Schema):
    """The current usage of one feature."""

    feature = serializers.CharField(help_text="Name of the feature.")
    kind = serializers.ChoiceField(choices=[kind for kind in KINDS if kind != Kind.BOOLEAN.value], help_text="Type of the feature.")
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
