"""Sends due billing notifications, outside of the transaction that created them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone, translation
from django.utils.translation import gettext

from accounts import audit, notifications
from accounts.models import User
from accounts.selectors import reader_of
from billing.errors import EmailNotUnsent
from billing.models import BillingNotification
from contextmcp.common.clock import now
from contextmcp.common.emails import EmailContent, send_email
from contextmcp.common.locale import localized_for

from . import content
from .topics import topic_of

log = structlog.get_logger(__name__)
BATCH = 100
MAX_ATTEMPTS = 10
# Lease of the sending worker. If it dies, another worker retries after this time.
LEASE = timedelta(minutes=5)


def deliver_due() -> int:
    """Send every email that is due on its organization's clock and still applies. Returns the number of emails sent."""
    current_time = now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=current_time)
    unsent = BillingNotification.objects.filter(free, sent_at=None, canceled_at=None, attempts__lt=MAX_ATTEMPTS)
    due = unsent.filter(due_at__lte=current_time + F("organization__clock_offset")).select_related("organization").order_by("id")
    return sum(_send(notification) for notification in due[:BATCH])


def _send(notification: BillingNotification) -> bool:
    current_time = now()
    # One conditional UPDATE takes the lease, so that two workers cannot send the same email.
    free = Q(claimed_until=None) | Q(claimed_until__lt=current_time)
    claimable = BillingNotification.objects.filter(free, pk=notification.pk, sent_at=None)
    if not claimable.update(claimed_until=current_time + LEASE, attempts=F("attempts") + 1):
        return False
    emails = _emails(notification)
    if not emails:
        BillingNotification.objects.filter(pk=notification.pk).update(canceled_at=current_time)
        return False
    try:
        # The emails are queued and marked as sent in one transaction, so that they are queued once.
        with transaction.atomic():
            for address, reader, email in emails:
                with localized_for(reader):
                    send_content(notification, email, address)
            BillingNotification.objects.filter(pk=notification.pk).update(sent_at=now(), error="")
    except OSError as error:  # smtplib.SMTPException derives from OSError.
        # The lease is kept: it delays the next attempt.
        BillingNotification.objects.filter(pk=notification.pk).update(error=f"{type(error).__name__}: {error}"[:500])
        log.warning("billing.email_failed", notification=notification.pk, error=type(error).__name__)
        return False
    return True


def _emails(notification: BillingNotification) -> list[tuple[str, User | None, EmailContent]]:
    """Return each recipient with its user and the content in its language and time zone. Empty if the email no longer applies.

    Call it outside of transactions, because the amount of the next payment is requested from Stripe, once for each language and time zone.
    """
    contents: dict[tuple[str, str], EmailContent | None] = {}
    emails = []
    for address in recipients_of(notification):
        reader = reader_of(address, notification.organization)
        with localized_for(reader):
            place = (translation.get_language() or "", str(timezone.get_current_timezone()))
            if place not in contents:
                contents[place] = content_of(notification)
        if (content := contents[place]) is not None:
            emails.append((address, reader, content))
    return emails


def content_of(notification: BillingNotification) -> EmailContent | None:
    """Return the email's content, or None if it no longer applies, or the organization was closed."""
    return None if notification.organization.closed_at else content.render(notification)


def recipients_of(notification: BillingNotification) -> list[str]:
    """Return the organization's present billing address, and those of the members who get such emails, each once."""
    members = notifications.recipients(notification.organization, topic_of(notification.kind)).values_list("user__email", flat=True)
    billing = notification.organization.email
    return [billing, *sorted(address for address in members if address.lower() != billing.lower())]


def send_content(notification: BillingNotification, email: EmailContent, to: str) -> None:
    """Queue the email to one recipient. All but the billing address can turn it off."""
    organization = notification.organization
    if to != organization.email:
        note = gettext("You receive this email as a member of %(organization)s at %(product)s.")
        email = replace(email, note=note % {"organization": organization.name, "product": settings.PRODUCT_NAME})
        email = notifications.optional(email, organization.pk)
    send_email(
        email,
        to=to,
        category=f"billing.{notification.kind}",
        reference=notification.pk,
        organization_id=notification.organization_id,
    )


def resend(notification: BillingNotification, to: str) -> None:
    """Queue the email to one recipient again with current data. Does nothing if it no longer applies."""
    reader = reader_of(to, notification.organization)
    with localized_for(reader):
        email = content_of(notification)
        if email is not None:
            send_content(notification, email, to)


def retry(notification: BillingNotification, actor: User, reason: str) -> None:
    """Reset the attempts of an email that could not be sent, so that it is tried again.

    Raises:
        EmailNotUnsent: the email was sent or canceled, or has attempts left.
    """
    with transaction.atomic():
        failed = BillingNotification.objects.filter(pk=notification.pk, sent_at=None, canceled_at=None, attempts__gte=MAX_ATTEMPTS)
        if not failed.update(attempts=0, claimed_until=None):
            raise EmailNotUnsent
        audit.record(
            "billing.email_retried",
            organization=notification.organization,
            actor=actor,
            target=f"email:{notification.kind}",
            before={"attempts": notification.attempts, "error": notification.error[:200]},
            after={"attempts": 0},
            reason=reason,
        )
