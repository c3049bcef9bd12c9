"""Admin pages of trial records and Stripe request counts."""

from django.contrib import admin

from contextmcp.common.admin_base import ORGANIZATION_PATHS, ReadOnlyAdmin

from .models import StripeRequestWindow, TrialRecord


@admin.register(TrialRecord)
class TrialRecordAdmin(ReadOnlyAdmin):
    list_display = ("organization", "kind", "value", "created_at")
    list_filter = ("kind",)
    list_select_related = ("organization",)
    search_fields = ORGANIZATION_PATHS


@admin.register(StripeRequestWindow)
class StripeRequestWindowAdmin(ReadOnlyAdmin):
    list_display = ("subject", "starts_at", "requests")
    search_fields = ("subject",)
