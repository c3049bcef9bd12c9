"""Outgoing email: the one way for all of it.

`QueueBackend` is Django's email backend here. A message that is sent becomes a row of `OutgoingEmail` in the current transaction, so it
exists exactly if what it tells was committed. A worker delivers it (see `delivery`) and tries again while the mail server is away.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.dispatch import Signal
from procrastinate.contrib.django import app

from .clock import now
from .models import OutgoingEmail

SEND_TASK = "common.send_emails"
# A message that the server did not take for so long is given up: its links have expired by then.
GIVE_UP_AFTER = timedelta(days=3)
# Sent in the transaction that records the delivery. Arguments: category and reference (as given to `send_email`), sent_at.
email_delivered = Signal()


def send_email(*, category: str, to: str, subject: str, text: str, html: str, reference: object = "") -> None:
    """Store one message for delivery.

    `category` says what it is ("invitation"), `reference` which one (an id), for the list that staff see and for `email_delivered`.
    """
    # A line break in a name must not become a header.
    message = EmailMultiAlternatives(subject=" ".join(subject.split()), body=text, to=[to])
    message.attach_alternative(html, "text/html")
    label(message, category, reference)
    message.send()


def label(message: EmailMessage, category: str, reference: object = "") -> None:
    """Say what a message of Django's is, before it is sent."""
    message.category, message.reference = category, str(reference)  # type: ignore[attr-defined]


class QueueBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        with transaction.atomic():
            for message in email_messages:
                OutgoingEmail.objects.create(**_stored(message))
            # In this transaction: the job is there exactly if the rows are.
            app.configure_task(SEND_TASK, lock=SEND_TASK, queue="emails").defer(timestamp=0)
        return len(email_messages)


def _stored(message: EmailMessage) -> dict[str, Any]:
    alternatives = getattr(message, "alternatives", [])
    if message.attachments or message.extra_headers or any(kind != "text/html" for _, kind in alternatives):
        raise ValueError("Only messages of text and HTML are stored: no attachments, no extra headers.")
    # Also refuses line breaks in headers, where the fault is made and not in the worker.
    subject = str(message.message()["Subject"] and message.subject)
    present = now()
    return {
        "category": getattr(message, "category", "other"),
        "reference": getattr(message, "reference", ""),
        "recipients": message.recipients(),
        "from_email": message.from_email,
        "subject": subject,
        "text": message.body,
        "html": alternatives[0][0] if alternatives else "",
        "next_attempt_at": present,
        "expires_at": present + GIVE_UP_AFTER,
    }
