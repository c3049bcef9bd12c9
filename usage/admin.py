"""Read-only admin pages for counters, gauges, holds, overage settings, alerts, refusals and webhooks.

Only the metering core changes counts; staff grant overrides instead.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from accounts.errors import InsufficientScope, KeyRevoked, PermissionDenied
from accounts.models import ApiKey, OAuthGrant
from contextmcp.common.admin_base import ORGANIZATION_PATHS, OrganizationRowsAdmin
from contextmcp.common.admin_filters import choices_filter
from contextmcp.common.errors import IdempotencyConflict, MalformedRequest, TemporarilyUnavailable, ValidationFailed
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG
from entitlements.errors import FeatureNotAvailable, PaymentRequired, PlanInactive
from entitlements.types import Kind

from .errors import HoldAlreadyEnded, LimitReached, OverageCapReached, QuotaExceeded, RateLimited, ReleaseExceedsUsage
from .models import (
    NO_KEY,
    OverageSetting,
    RefusalSummary,
    UsageAlert,
    UsageCounter,
    UsageGauge,
    UsageHold,
    WebhookDelivery,
    WebhookEndpoint,
)
from .webhooks import outbox

_FeatureFilter = choices_filter("feature", lambda: [feature.name for feature in CATALOG.features])
_QuotaFilter = choices_filter("feature", lambda: [feature.name for feature in CATALOG.features if feature.kind is Kind.QUOTA])
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
    list_filter = ["state", _QuotaFilter]
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
    list_filter = ["kind", _FeatureFilter]


_REFUSALS = (
    *(QuotaExceeded, OverageCapReached, LimitReached, RateLimited, FeatureNotAvailable, PaymentRequired, PlanInactive),
    *(InsufficientScope, PermissionDenied, KeyRevoked, ValidationFailed, MalformedRequest, IdempotencyConflict),
    *(HoldAlreadyEnded, ReleaseExceedsUsage, TemporarilyUnavailable),
)
# The gateway defines the last code. It cannot be imported here, because apps must not import the gateway.
_CODES = [*(refusal.code for refusal in _REFUSALS), "tool_not_available"]


class RecentFilter(admin.SimpleListFilter):
    """Shows the refusals of the last day by default, so that the other filters read only a part of the table.

    For a single organization, or for a range of minutes in the URL, the default is 35 days, because an index finds these rows.
    """

    title = "time"
    parameter_name = "since"
    times = (
        ("hour", "Last hour", timedelta(hours=1)),
        ("day", "Last 24 hours", timedelta(days=1)),
        ("week", "Last 7 days", timedelta(days=7)),
        ("all", "Last 35 days", timedelta(days=35)),
    )

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        indexed = any(name.startswith(("minute__", "organization__")) or (name == "q" and text) for name, text in request.GET.items())
        self.default = "all" if indexed else "day"
        return [(value, title) for value, title, _ in self.times]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield the times without the choice "All", which would be the same as the default."""
        chosen = self.value() or self.default
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": value == chosen, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[RefusalSummary]) -> QuerySet[RefusalSummary]:
        spans = {value: span for value, _, span in self.times}
        return queryset.filter(minute__gt=timezone.now() - spans.get(self.value() or self.default, spans["day"]))


@admin.register(RefusalSummary)
class RefusalSummaryAdmin(OrganizationRowsAdmin):
    """Refused requests by minute. `?organization__id__exact=...&minute__gte=...&minute__lt=...` selects a range of minutes."""

    list_display = ["minute", "organization", "code", "feature", "key", "tool", "count"]
    list_filter = [RecentFilter, choices_filter("code", lambda: _CODES), _FeatureFilter]
    ordering = ["-minute", "-pk"]
    fields = ["organization", "minute", "code", "feature", "key", "tool", "count"]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[RefusalSummary]:
        """Return the rows with `api_key` and `app`: the names of the API key or of the connected app."""
        api_key = ApiKey.objects.filter(pk=OuterRef("key_id")).values("name")
        app = OAuthGrant.objects.filter(pk=OuterRef("key_id")).order_by().values("client_name")
        rows: QuerySet[RefusalSummary] = super().get_queryset(request)
        return rows.annotate(api_key=Subquery(api_key), app=Subquery(app))

    @admin.display(description="key or app")
    def key(self, refusal: Any) -> str:
        if refusal.key_id == NO_KEY:
            return ""
        model, name = ("apikey", refusal.api_key) if refusal.api_key is not None else ("oauthgrant", refusal.app)
        if name is None:
            return "deleted"
        return format_html('<a href="{}">{}</a>', reverse(f"admin:accounts_{model}_change", args=[refusal.key_id]), name)


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
    list_filter = ["state", _EventTypeFilter]
    list_select_related = ["endpoint__organization"]
    search_fields = [*(f"endpoint__{path}" for path in ORGANIZATION_PATHS), "endpoint__id", "id"]
    exclude = ["claimed_until"]
