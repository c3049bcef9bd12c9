"""Read-only admin pages for counters, gauges, holds, overage settings, alerts and webhooks.

Only the metering core changes counts; staff grant overrides instead.
"""

from django.contrib import admin

from contextmcp.common.admin_base import ORGANIZATION_PATHS, OrganizationRowsAdmin
from contextmcp.common.admin_filters import choices_filter
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG

from .models import OverageSetting, UsageAlert, UsageCounter, UsageGauge, UsageHold, WebhookDelivery, WebhookEndpoint
from .webhooks import outbox

_FeatureFilter = choices_filter("feature", lambda: [feature.name for feature in CATALOG.features])
_EventTypeFilter = choices_filter("event_type", lambda: (*outbox.EVENT_TYPES, outbox.TEST))


@admin.register(UsageCounter)
class UsageCounterAdmin(OrganizationRowsAdmin):
    list_display = ["organization", "feature", "period_start", "period_end", "used", "held", "credited"]
    list_filter = [_FeatureFilter]


@admin.register(UsageGauge)
class UsageGaugeAdmin(OrganizationRowsAdmin):
    list_display = ["organization", "feature", "value", "updated_at"]
    list_filter = [_FeatureFilter]


@admin.register(UsageHold)
class UsageHoldAdmin(OrganizationRowsAdmin):
    list_display = ["id", "organization", "feature", "amount", "state", "settled_amount", "expires_at"]
    list_filter = ["state", _FeatureFilter]
    search_fields = [*ORGANIZATION_PATHS, "id"]


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
    list_filter = ["kind", _FeatureFilter, "created_at"]


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(OrganizationRowsAdmin):
    """Webhook endpoints without their signing secrets, which are not shown even in encrypted form."""

    list_display = ["url", "organization", "event_types", "enabled", "disabled_reason", "failing_since", "created_at"]
    list_filter = ["enabled"]
    search_fields = [*ORGANIZATION_PATHS, "id", "url__startswith"]
    exclude = ["secret", "previous_secret"]


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(OrganizationRowsAdmin):
    list_display = ["id", "event_type", "endpoint", "state", "attempts", "last_status", "last_error", "next_attempt_at", "created_at"]
    list_filter = ["state", _EventTypeFilter, "created_at"]
    list_select_related = ["endpoint__organization"]
    search_fields = [*(f"endpoint__{path}" for path in ORGANIZATION_PATHS), "endpoint__id", "id"]
    exclude = ["claimed_until"]
