"""The pages of operator alerts and of the requests to the operator's webhooks."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from accounts import alert_messages, audit, operator_alerts
from accounts.authentication import staff
from accounts.models import AlertDelivery, OperatorAlert
from contextmcp.backoffice.errors import AlertNotOpen, DeliveryNotRetryable
from contextmcp.common.admin_base import ReadOnlyAdmin, confirmed_action
from contextmcp.common.clock import now

RESOLVE = "accounts.resolve_operatoralert"
TEST = "accounts.test_operatoralert"


def channels() -> list[tuple[str, str]]:
    """Return each channel with its target. For a webhook, only the host is returned, because the URL is a secret."""
    urls = alert_messages.webhook_urls()
    emails = ", ".join(alert_messages.email_recipients())
    hosts = [(channel.label, urlsplit(urls[channel]).hostname or "" if channel in urls else "") for channel in AlertDelivery.Channel]
    return [("Email", emails), *hosts]


@admin.register(OperatorAlert)
class OperatorAlertAdmin(ReadOnlyAdmin):
    list_display = ("code", "subject", "message", "occurrences", "last_seen_at", "organization", "resolved_at")
    list_filter = (("resolved_at", admin.EmptyFieldListFilter),)
    list_select_related = ("organization",)
    search_fields = ("code", "subject", "organization__slug__startswith")
    ordering = ("-last_seen_at", "-id")
    list_before_template = "backoffice/alerts/channels.html"
    actions = ("resolve",)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"channels": channels(), "may_test": request.user.has_perm(TEST)}
        response: HttpResponse = super().changelist_view(request, {**(extra_context or {}), **context})
        return response

    @confirmed_action(
        "Mark as resolved",
        permission=RESOLVE,
        effect="These alerts will be resolved. They reopen if the problem occurs again.",
        done=("alert resolved", "alerts resolved"),
    )
    def resolve(self, request: HttpRequest, alert: OperatorAlert, reason: str) -> None:
        if not operator_alerts.resolve_alert(alert):
            raise AlertNotOpen
        audit.record(
            "operator_alert.resolved",
            organization=None,
            actor=staff(request),
            target=f"alert:{alert}",
            before={"resolved_at": None},
            after={"resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None},
            reason=reason,
        )


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "channel", "event", "alert", "state", "attempts", "last_status", "last_error", "finished_at")
    list_filter = ("state", "channel")
    list_select_related = ("alert",)
    fields = (*list_display, "next_attempt_at", "body")
    readonly_fields = fields
    actions = ("retry",)

    @confirmed_action(
        "Send again now",
        permission=RESOLVE,
        effect="These messages will be sent again within seconds, and retried if they fail.",
        done=("message queued", "messages queued"),
    )
    def retry(self, request: HttpRequest, delivery: AlertDelivery, reason: str) -> None:
        rows = AlertDelivery.objects.filter(pk=delivery.pk).exclude(state=AlertDelivery.State.DELIVERED)
        pending = {"state": AlertDelivery.State.PENDING.value, "attempts": 0}
        if not rows.update(**pending, next_attempt_at=now(), finished_at=None):
            raise DeliveryNotRetryable
        before = {"state": delivery.state, "attempts": delivery.attempts}
        audit.record(
            "alert_delivery.retried",
            organization=None,
            actor=staff(request),
            target=delivery.pk,
            before=before,
            after=pending,
            reason=reason,
        )
