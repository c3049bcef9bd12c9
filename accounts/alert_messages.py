"""The messages about operator alerts: emails, and the bodies of the requests to the operator's webhooks."""

import json
from typing import Any

from django.conf import settings

from contextmcp.common.clock import now
from contextmcp.common.emails import EmailContent, send_email

from .models import AlertDelivery, OperatorAlert, User

OPENED, REPEATED, RESOLVED, TEST = "opened", "repeated", "resolved", "test"
_TITLES = {OPENED: "Alert", REPEATED: "Alert is still open", RESOLVED: "Resolved", TEST: "Test alert"}
CATEGORY = "operator_alert"
Channel = AlertDelivery.Channel


def send(alert: OperatorAlert, event: str) -> None:
    """Queue the messages about an alert in the current transaction: an email to each recipient, and one request to each webhook."""
    for address in email_recipients():
        send_email(email_content(alert, event), to=address, category=CATEGORY, reference=str(alert)[:64])
    AlertDelivery.objects.bulk_create(
        AlertDelivery(alert=alert, channel=channel, event=event, body=body(channel, alert, event)) for channel in webhook_urls()
    )


def email_recipients() -> list[str]:
    """Return ALERT_EMAILS, or else the addresses of all active superusers."""
    if settings.ALERT_EMAILS:
        return list(settings.ALERT_EMAILS)
    superusers = User.objects.filter(is_superuser=True, is_active=True).exclude(email="")
    return list(superusers.values_list("email", flat=True))


def webhook_urls() -> dict[str, str]:
    """Return the configured webhooks by channel. The URLs contain secrets."""
    urls = {Channel.WEBHOOK.value: settings.ALERT_WEBHOOK_URL, Channel.SLACK.value: settings.ALERT_SLACK_URL}
    return {channel: url for channel, url in urls.items() if url}


def title(alert: OperatorAlert, event: str) -> str:
    """Return the kind and the object of the problem, such as "Alert: unknown_price (sub_1)"."""
    subject = f" ({alert.subject})" if alert.subject else ""
    return f"{_TITLES[event]}: {alert.code}{subject}"


def email_content(alert: OperatorAlert, event: str) -> EmailContent:
    """Return the email about an alert."""
    notes = {
        RESOLVED: "You receive this email because you were notified of this alert.",
        TEST: "You receive this email because a member of staff sent a test alert.",
    }
    repeated = "This email is repeated once a day while the problem continues."
    return EmailContent(
        title=title(alert, event),
        paragraphs=(
            f"Details: {alert.message}",
            f"Organization: {alert.organization.name if alert.organization else '-'}",
            *(() if event == TEST else ("See docs/operations.md and docs/BILLING-SETUP.md for what to do.",)),
        ),
        label="View alerts",
        link=alerts_url(),
        note=notes.get(event, repeated),
    )


def body(channel: str, alert: OperatorAlert, event: str) -> str:
    """Return the body of the request to a webhook: a text for Slack, otherwise the alert as JSON."""
    document: dict[str, Any]
    if channel == Channel.SLACK:
        organization = f"\nOrganization: {_plain(alert.organization.name)}" if alert.organization else ""
        text = f"*{_plain(settings.PRODUCT_NAME)} - {_plain(title(alert, event))}*\n{_plain(alert.message)}{organization}"
        document = {"text": f"{text}\n<{alerts_url()}|View alerts>"}
    else:
        organization_fields = {"id": str(alert.organization_id), "name": alert.organization.name} if alert.organization else None
        document = {
            "type": f"alert.{event}",
            "timestamp": now().isoformat(),
            "data": {
                "kind": alert.code,
                "subject": alert.subject,
                "message": alert.message,
                "organization": organization_fields,
                "occurrences": alert.occurrences,
                "firstSeenAt": alert.first_seen_at.isoformat(),
                "lastSeenAt": alert.last_seen_at.isoformat(),
                "resolvedAt": alert.resolved_at.isoformat() if alert.resolved_at else None,
                "url": alerts_url(),
            },
        }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def alerts_url() -> str:
    """Return the address of the list of alerts."""
    return f"{settings.PUBLIC_URL}/admin/accounts/operatoralert/"


def _plain(text: str) -> str:
    """Escape the characters that Slack reads as markup (https://docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
