"""Writing alerts, once each, and spreading the news of those that were new: mails and webhooks, in the same transaction."""

from collections.abc import Iterable
from typing import Any

from procrastinate.contrib.django import app

from accounts.models import Membership
from accounts.roles import Role
from usage.models import UsageAlert
from usage.webhooks import outbox

TASK = "usage.mail_alert"
QUEUE = "mail"
READERS = (Role.OWNER, Role.ADMIN)


def spread(alerts: Iterable[UsageAlert]) -> int:
    """Call it in a transaction. Returns how many were new."""
    return sum(_tell(alert) for alert in alerts)


def _tell(alert: UsageAlert) -> bool:
    if not _write(alert):
        return False
    for user_id in readers(alert).values_list("user_id", flat=True):
        app.configure_task(TASK, queue=QUEUE).defer(alert_id=str(alert.pk), user_id=user_id)
    event_type = outbox.SPIKE if alert.kind == UsageAlert.Kind.SPIKE else outbox.THRESHOLD
    outbox.announce(alert.organization, event_type, told(alert))
    return True


def _write(alert: UsageAlert) -> bool:
    """False where it, or a higher threshold, was told in this period already."""
    of_period = UsageAlert.objects.filter(organization=alert.organization, feature=alert.feature, period_start=alert.period_start)
    if alert.threshold is not None and any((other.threshold or 0) > alert.threshold for other in of_period):
        return False
    # Whoever writes it tells it; another one at the same time waits here, and then finds it written.
    UsageAlert.objects.bulk_create([alert], ignore_conflicts=True)
    return of_period.filter(pk=alert.pk).exists()


def readers(alert: UsageAlert) -> Any:
    return Membership.objects.filter(organization=alert.organization, role__in=READERS, user__is_active=True)


def told(alert: UsageAlert) -> dict[str, Any]:
    """What a webhook says of it."""
    said: dict[str, Any] = {
        "alert_id": alert.pk,
        "organization_id": alert.organization_id,
        "feature": alert.feature,
        "used": alert.used,
        "included": alert.included,
        "period_start": alert.period_start,
        "period_end": alert.period_end,
        "happened_at": alert.happened_at,
    }
    if alert.kind == UsageAlert.Kind.SPIKE:
        return said | {"hour": alert.hour, "usual": None if alert.usual is None else round(alert.usual, 2)}
    return said | {"threshold": alert.threshold}
