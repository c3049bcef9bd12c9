"""What was used, to read."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from .models import OverageSetting, UsageCounter, UsageHold, UsageLevel


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
