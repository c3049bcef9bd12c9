"""Admin pages of operator alerts, trial records and Stripe request counts."""

from django.contrib import admin
from django.http import HttpRequest

from accounts import audit
from accounts.authentication import staff
from contextmcp.common.admin_base import ORGANIZATION_PATHS, ReadOnlyAdmin, confirmed_action

from .models import OperatorAlert, StripeRequestWindow, TrialRecord
from .operator_alerts import resolve_alert


@admin.register(OperatorAlert)
class OperatorAlertAdmin(ReadOnlyAdmin):
    ordering = ("-last_seen_at", "-id")
    list_display = ("code", "message", "occurrences", "first_seen_at", "last_seen_at", "organization", "resolved_at")
    list_filter = (("resolved_at", admin.EmptyFieldListFilter),)
    list_select_related = ("organization",)
    search_fields = ("code__startswith", *ORGANIZATION_PATHS)
    actions = ("resolve",)

    @confirmed_action(
        "Mark as resolved",
        permission="billing.operate_billing",
        effect="The alerts are closed and reopen if the same error occurs again.",
        done=("alert resolved", "alerts resolved"),
    )
    def resolve(self, request: HttpRequest, alert: OperatorAlert, reason: str) -> None:
        resolve_alert(alert)
        audit.record("billing.alert_resolved", organization=None, actor=staff(request), target=f"alert:{alert.code}", reason=reason)


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
