"""Alerts for problems that only the operator can fix: a metric, a row in the admin, and messages to the operator.

Code that meets a problem calls `raise_alert`. Conditions that are evaluated periodically are reported as a whole with `report_conditions`,
which also ends the alerts whose condition no longer holds. There is one alert for each kind and object; the operator is notified when it
opens, once a day while it is open, and when it is resolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, transaction
from django.db.models import F
from prometheus_client import Counter

from contextmcp.common.clock import now
from contextmcp.common.logs import mask

from . import alert_messages
from .models import OperatorAlert, Organization

log = structlog.get_logger(__name__)
ALERTS = Counter("operator_alerts_total", "Problems that need the operator", ["kind"])
# Minimum time between two notices that the same alert is open.
REPEAT_INTERVAL = timedelta(days=1)
# A condition that ends and returns within this time does not resolve and reopen its alert, so a flapping condition sends no notices.
RESOLVE_AFTER = timedelta(minutes=5)
MESSAGE_LENGTH = 2000
SUBJECT_LENGTH = 128


@dataclass(frozen=True)
class Condition:
    """A problem that holds at the time of an evaluation. `subject` identifies its object; it is empty for the service as a whole."""

    message: str
    subject: str = ""
    organization: Organization | None = None


def raise_alert(kind: str, organization: Organization | None = None, *, subject: str = "", message: str = "", **details: Any) -> None:
    """Record one occurrence of `kind` for `subject` (the ID of an object), with a `message` or with `details`.

    Secrets in the text are masked. If the database is unavailable, only the log line and the metric are written; nothing is raised.
    """
    text = message or ", ".join(f"{name}: {value}" for name, value in details.items())
    try:
        with transaction.atomic():
            _occur(kind, Condition(text, subject, organization), now())
    except DatabaseError:
        ALERTS.labels(kind).inc()
        log.exception("operator_alert.not_stored", kind=kind)


def report_conditions(kind: str, conditions: Sequence[Condition]) -> None:
    """Report all problems of `kind` that hold now: open the new ones, and resolve the others after RESOLVE_AFTER."""
    present = now()
    open_alerts = {alert.subject: alert for alert in OperatorAlert.objects.filter(code=kind, resolved_at=None)}
    for condition in conditions:
        with transaction.atomic():
            if (alert := open_alerts.pop(condition.subject[:SUBJECT_LENGTH], None)) is None:
                _occur(kind, condition, present)
            else:
                values = {"message": _clean(condition.message), "organization": condition.organization, "last_seen_at": present}
                OperatorAlert.objects.filter(pk=alert.pk).update(**values)
                _notify_if_due(alert.pk, present)
    for alert in open_alerts.values():
        if alert.last_seen_at <= present - RESOLVE_AFTER:
            resolve_alert(alert)


def resolve_alert(alert: OperatorAlert) -> bool:
    """Mark an alert as resolved and notify the operator. Another occurrence reopens it. Return whether it was open."""
    with transaction.atomic():
        if not OperatorAlert.objects.filter(pk=alert.pk, resolved_at=None).update(resolved_at=now()):
            return False
        alert.refresh_from_db()
        log.info("operator_alert.resolved", kind=alert.code, subject=alert.subject)
        alert_messages.send(alert, alert_messages.RESOLVED)
    return True


def _occur(kind: str, condition: Condition, present: datetime) -> None:
    ALERTS.labels(kind).inc()
    subject = condition.subject[:SUBJECT_LENGTH]
    latest = {"message": _clean(condition.message), "organization": condition.organization, "last_seen_at": present}
    alert, created = OperatorAlert.objects.get_or_create(code=kind, subject=subject, defaults=latest)
    if not created:
        alerts = OperatorAlert.objects.filter(pk=alert.pk)
        alerts.exclude(resolved_at=None).update(resolved_at=None, notified_at=None, first_seen_at=present, occurrences=0)
        alerts.update(occurrences=F("occurrences") + 1, **latest)
    log.warning("operator_alert.occurred", kind=kind, subject=subject)
    _notify_if_due(alert.pk, present)


def _notify_if_due(alert_id: int, present: datetime) -> None:
    """Notify the operator at the first occurrence and once a day. One conditional UPDATE decides which of several processes does it."""
    alerts = OperatorAlert.objects.filter(pk=alert_id)
    event = ""
    if alerts.filter(notified_at=None).update(notified_at=present):
        event = alert_messages.OPENED
    elif alerts.filter(notified_at__lte=present - REPEAT_INTERVAL).update(notified_at=present):
        event = alert_messages.REPEATED
    if event:
        alert_messages.send(alerts.select_related("organization").get(), event)


def _clean(text: str) -> str:
    return mask(text)[:MESSAGE_LENGTH].replace("\0", "")
