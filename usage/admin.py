"""Read-only admin pages for counters, gauges, holds, overage settings, alerts and webhooks.

Only the metering core changes counts; staff grant overrides instead.
"""

from django.contrib import admin

from contextmcp.common.admin_base import OrganizationRowsAdmin
from contextmcp.common.money import format_amount

from .models import OverageSetting, UsageAlert, UsageCounter, UsageGauge, UsageHold, WebhookDelivery, WebhookEndpoint


@admin.register(UsageCounter)
class UsageCounterAdmin(OrganizationRowsAdmin):
    list_display = ["organization", "feature", "period_start", "period_end", "used", "held", "credited"]
    list_filter = ["feature"]
    ordering = ["-period_start", "-id"]


@admin.register(UsageGauge)
class UsageGaugeAdmin(OrganizationRowsAdmin):
    list_display = ["organization", "feature", "value", "updated_at"]
    list_filter = ["feature"]


@admin.register(UsageHold)
class UsageHoldAdmin(OrganizationRowsAdmin):
    list_display = ["id", "organization", "feature", "amount", "state", "settled_amount", "expires_at"]
    list_filter = ["state", "feature"]
    ordering = ["-id"]


@admin.register(OverageSetting)
class OverageSettingAdmin(OrganizationRowsAdmin):
    list_display = ["organization", "feature", "enabled", "cap", "updated_at"]
    list_filter = ["enabled"]
    fields = ["organization", "feature", "enabled", "cap", "currency", "updated_at"]
    readonly_fields = fields

    @admin.display(description="monthly spending limit", ordering="cap_minor")
    def cap(self, setting: OverageSetting) -> str:
        return format_amount(setting.cap_minor, setting.currency)


@admin.register(UsageAlert)
class UsageAlertAdmin(OrganizationRowsAdmin):
    list_display = ["organization", "feature", "kind", "used", "included", "period_start", "created_at"]
    list_filter = ["kind", "feature"]


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(OrganizationRowsAdmin):
    """Webhook endpoints without their signing secrets, which are not shown even in encrypted form."""

    list_display = ["url", "organization", "event_types", "enabled", "disabled_reason", "failing_since", "created_at"]
    list_filter = ["enabled"]
    search_fields = [*OrganizationRowsAdmin.search_fields, "url"]
    exclude = ["secret", "previous_secret"]


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(OrganizationRowsAdmin):
    list_display = ["id", "event_type", "endpoint", "state", "attempts", "last_status", "last_error", "next_attempt_at", "created_at"]
    list_filter = ["state", "event_type", "last_error"]
    list_select_related = ["endpoint__organization"]
    search_fields = ["endpoint__organization__name", "endpoint__organization__slug", "endpoint__url"]
    exclude = ["claimed_until"]
