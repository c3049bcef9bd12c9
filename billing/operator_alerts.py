"""Alerts for problems that only the operator can fix: a log line, a metric, a row in the admin, and an email to the superusers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import F
from prometheus_client import Counter

from accounts.models import Organization, User
from billing.models import OperatorAlert
from contextmcp.common.clock import now
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.errors import DomainError

log = structlog.get_logger(__name__)
ALERTS = Counter("billing_alerts_total", "Problems that need an operator", ["kind"])
# Minimum time between two emails about the same open alert.
MAIL_INTERVAL = timedelta(days=1)
MESSAGE_LENGTH = 2000

COLLECTION_PAUSED = "collection_paused"
PLANNED_CHANGE_LOST = "planned_change_lost"
PRICE_REGISTERED = "price_registered"
UNKNOWN_PRICE = "unknown_price"
UNLINKED_PURCHASE = "unlinked_purchase"


@contextmanager
def alert_on_refusal(organization: Organization | None) -> Iterator[None]:
    """Open an alert if the block raises an error that only the operator can fix. The error is re-raised."""
    try:
        yield
    except DomainError as refusal:
        alert_operator(refusal, organization)
        raise


def alert_operator(error: Exception, organization: Organization | None) -> None:
    """Open an alert if only the operator can fix the cause of `error`."""
    if isinstance(error, DomainError) and needs_operator(error):
        raise_alert(error.code, organization, message=str(error))


def needs_operator(error: Exception) -> bool:
    """Return whether only the operator can fix the cause of `error`."""
    return bool(getattr(error, "needs_operator", False))


def raise_alert(kind: str, organization: Organization | None = None, *, message: str = "", **details: Any) -> None:
    """Record one occurrence of `kind`, with Stripe's `message` or with `details`.

    If the database is unavailable, only the log line and the metric are written; nothing is raised.
    """
    texts = {name: str(value) for name, value in details.items()}
    ALERTS.labels(kind).inc()
    log.warning(f"billing.{kind}", organization=str(organization.pk) if organization else None, **texts)
    text = message or ", ".join(f"{name}: {value}" for name, value in texts.items())
    try:
        with transaction.atomic():
            _open(kind, text[:MESSAGE_LENGTH].replace("\0", ""), organization)
    except DatabaseError:
        log.exception("billing.alert_not_stored", code=kind)


def _open(code: str, message: str, organization: Organization | None) -> None:
    current_time = now()
    latest = {"message": message, "organization": organization, "last_seen_at": current_time}
    alert, created = OperatorAlert.objects.get_or_create(code=code, defaults=latest)
    alerts = OperatorAlert.objects.filter(pk=alert.pk)
    if not created:
        alerts.exclude(resolved_at=None).update(resolved_at=None, emailed_at=None, first_seen_at=current_time, occurrences=0)
        alerts.update(occurrences=F("occurrences") + 1, **latest)
    # One conditional UPDATE decides which of several processes sends the email.
    due = alerts.filter(emailed_at=None) | alerts.filter(emailed_at__lte=current_time - MAIL_INTERVAL)
    if due.update(emailed_at=current_time):
        _mail(code, message, organization)


def _mail(code: str, message: str, organization: Organization | None) -> None:
    """Send the alert to each active superuser."""
    content = EmailContent(
        title=f"Billing needs attention: {code}",
        paragraphs=(
            f"Details: {message}",
            f"Organization: {organization.name if organization else '-'}",
            "docs/BILLING-SETUP.md says what to do.",
        ),
        label="View alerts",
        link=f"{settings.PUBLIC_URL}/admin/billing/operatoralert/",
        note="This email is repeated once a day while the problem continues. Mark the alert as resolved when it is fixed.",
    )
    for user in User.objects.filter(is_superuser=True, is_active=True).exclude(email=""):
        send_email(content, to=user.email, category="operator_alert", reference=code)


def resolve_alert(alert: OperatorAlert) -> None:
    """Mark an alert as resolved. Another occurrence reopens it."""
    OperatorAlert.objects.filter(pk=alert.pk).update(resolved_at=now())
