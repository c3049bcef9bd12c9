"""What was used, to read."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from .models import OverageSetting, UsageAlert, UsageCounter, UsageHold, UsageLevel, WebhookDelivery, WebhookEndpoint


class ReadOnly(ModelAdmin):  # type: ignore[misc]
    """Counted by the gate alone; staff give overrides instead of changing a count."""

    search_fields = ["organization__name", "organization__slug"]
    list_select_related = ["organization"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(UsageCounter)
class UsageCounterAdmin(ReadOnly):
    list_display = ["organization", "feature", "period_start", "period_end", "used", "held"]
    list_filter = ["feature"]
    ordering = ["-period_start", "-id"]


@admin.register(UsageLevel)
class UsageLevelAdmin(ReadOnly):
    list_display = ["organization", "feature", "value", "updated_at"]
    list_filter = ["feature"]


@admin.register(UsageHold)
class UsageHoldAdmin(ReadOnly):
    list_display = ["id", "organization", "feature", "amount", "state", "settled_amount", "expires_at"]
    list_filter = ["state", "feature"]
    ordering = ["-id"]


@admin.register(OverageSetting)
class OverageSettingAdmin(ReadOnly):
    list_display = ["organization", "feature", "enabled", "cap_minor", "currency", "updated_at"]
    list_filter = ["enabled"]


@admin.register(UsageAlert)
class UsageAlertAdmin(ReadOnly):
    list_display = ["organization", "feature", "kind", "used", "included", "period_start", "created_at"]
    list_filter = ["kind", "feature"]


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ReadOnly):
    """Never its secret: not even encrypted."""

    list_display = ["url", "organization", "event_types", "enabled", "disabled_reason", "created_at"]
    list_filter = ["enabled"]
    search_fields = [*ReadOnly.search_fields, "url"]
    exclude = ["secret"]


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly):
    list_display = ["id", "event_type", "endpoint", "state", "attempts", "last_status", "last_error", "next_attempt_at", "created_at"]
    list_filter = ["state", "event_type", "last_error"]
    list_select_related = ["endpoint__organization"]
    search_fields = ["endpoint__organization__name", "endpoint__organization__slug", "endpoint__url"]
    exclude = ["claimed_until"]
