"""Store alerts once each, and queue emails and webhooks for new ones in the same transaction."""

from collections.abc import Iterable
from typing import Any

from procrastinate.contrib.django import app

from accounts import notifications
from usage.models import UsageAlert
from usage.notification_topics import topic_of
from usage.webhooks import outbox

TASK = "usage.send_alert_email"
QUEUE = "emails"


def publish(alerts: Iterable[UsageAlert]) -> int:
    """Store the alerts and queue their emails and webhooks. Return the number of new alerts. Must run inside a transaction."""
    return sum(_publish_one(alert) for alert in alerts)


def _publish_one(alert: UsageAlert) -> bool:
    if not _insert(alert):
        return False
    for user_id in recipients(alert).values_list("user_id", flat=True):
        app.configure_task(TASK, queue=QUEUE).defer(alert_id=str(alert.pk), user_id=user_id)
    event_type = outbox.SPIKE if alert.kind == UsageAlert.Kind.SPIKE else outbox.THRESHOLD
    outbox.enqueue_for_subscribers(alert.organization, event_type, webhook_payload(alert))
    return True


def _insert(alert: UsageAlert) -> bool:
    """Store the alert. Return False if the same alert, or one for a higher threshold, already exists in the period."""
    of_period = UsageAlert.objects.filter(organization=alert.organization, feature=alert.feature, period_start=alert.period_start)
    if alert.threshold is not None and any((other.threshold or 0) > alert.threshold for other in of_period):
        return False
    # Only the transaction that inserts the row publishes the alert. A concurrent transaction waits here for the unique index and then does
    # not insert the row.
    UsageAlert.objects.bulk_create([alert], ignore_conflicts=True)
    return of_period.filter(pk=alert.pk).exists()


def recipients(alert: UsageAlert) -> Any:
    """Return the memberships of the members who receive the email: by default owners and admins."""
    return notifications.recipients(alert.organization, topic_of(alert))


def webhook_payload(alert: UsageAlert) -> dict[str, Any]:
    """Return the `data` of the alert's webhook message, in snake_case."""
    payload: dict[str, Any] = {
        "alert_id": alert.pk,
        "organization_id": alert.organization_id,
        "feature": alert.feature,
        "used": alert.used,
        "included": alert.included,
        "period_start": alert.period_start,
        "period_end": alert.period_end,
        "occurred_at": alert.occurred_at,
    }
    if alert.kind == UsageAlert.Kind.SPIKE:
        return payload | {"hour": alert.hour, "baseline": None if alert.baseline is None else round(alert.baseline, 2)}
    return payload | {"threshold": alert.threshold}
