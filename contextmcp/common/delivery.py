"""Delivery of stored email by the worker."""

import smtplib
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction

from .clock import now
from .emails import UNSUBSCRIBE_HEADER, EmailContent, email_delivered, render_message
from .models import OutgoingEmail

log = structlog.get_logger(__name__)
BATCH = 100
FIRST_RETRY_SECONDS = 5
MAX_RETRY_SECONDS = 600
# Errors of a single message. All others concern the mail server, so the remaining messages of the batch are not attempted.
_OF_ONE_MESSAGE = (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError, ValueError)


def deliver_due() -> int:
    """Send the messages that are due, oldest attempt first. Return the number that the mail server accepted.

    The task holds a lock, so an unresponsive mail server blocks only one of the worker's threads.
    """
    _expire(now())
    due = OutgoingEmail.objects.filter(state=OutgoingEmail.State.QUEUED, next_attempt_at__lte=now())
    sent = 0
    for email in due.order_by("next_attempt_at", "id")[:BATCH]:
        if not _claim(email):
            continue
        try:
            _message(email).send()
        except _OF_ONE_MESSAGE as error:
            _record_failure(email, error)
        except Exception as error:
            _record_failure(email, error)
            break
        else:
            _record_delivery(email)
            sent += 1
    return sent


def send_now(content: EmailContent, *, to: str) -> None:
    """Send one message without storing it, and wait for the mail server. Raises the error of the mail server."""
    message = render_message(content, to)
    message.connection = get_connection(settings.EMAIL_DELIVERY_BACKEND)
    message.send()


def _claim(email: OutgoingEmail) -> bool:
    """Count the attempt and schedule the next one before sending, so a worker that dies delays the message but does not lose it."""
    delay = min(FIRST_RETRY_SECONDS * 2**email.attempts, MAX_RETRY_SECONDS)
    claim = OutgoingEmail.objects.filter(pk=email.pk, state=OutgoingEmail.State.QUEUED, attempts=email.attempts)
    email.attempts += 1
    return bool(claim.update(attempts=email.attempts, next_attempt_at=now() + timedelta(seconds=delay)))


def _message(email: OutgoingEmail) -> EmailMultiAlternatives:
    message = EmailMultiAlternatives(
        subject=email.subject,
        body=email.text,
        from_email=email.from_email,
        to=email.recipients,
        headers={UNSUBSCRIBE_HEADER: email.unsubscribe} if email.unsubscribe else None,
        connection=get_connection(settings.EMAIL_DELIVERY_BACKEND),
    )
    if email.html:
        message.attach_alternative(email.html, "text/html")
    return message


def _record_delivery(email: OutgoingEmail) -> None:
    sent_at = now()
    with transaction.atomic():
        OutgoingEmail.objects.filter(pk=email.pk).update(
            state=OutgoingEmail.State.SENT, sent_at=sent_at, last_error="", text="", html="", next_attempt_at=None
        )
        email_delivered.send(sender=OutgoingEmail, category=email.category, reference=email.reference, sent_at=sent_at)


def _record_failure(email: OutgoingEmail, error: Exception) -> None:
    OutgoingEmail.objects.filter(pk=email.pk).update(last_error=f"{type(error).__name__}: {error}"[:500])
    # The log names the row and contains neither the address nor the text.
    log.warning("email.delivery_failed", email=email.pk, category=email.category, attempts=email.attempts, error=type(error).__name__)


def _expire(present: datetime) -> None:
    """Give up messages that could not be delivered in time. Their text is deleted, because it may contain a link."""
    expired = OutgoingEmail.objects.filter(state=OutgoingEmail.State.QUEUED, expires_at__lte=present)
    given_up = expired.update(state=OutgoingEmail.State.FAILED, text="", html="", next_attempt_at=None)
    if given_up:
        log.error("email.delivery_abandoned", messages=given_up)
