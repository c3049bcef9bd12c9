"""Outgoing email, stored before delivery.

`QueueBackend` is Django's email backend in this project. A sent message is stored as a row of `OutgoingEmail` in the current
transaction, so it exists if and only if the change that it reports was committed. A worker delivers it (see `delivery`) and retries while
the mail server is unavailable.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.dispatch import Signal
from django.template.loader import render_to_string
from procrastinate.contrib.django import app

from .clock import now
from .models import OutgoingEmail

UNSUBSCRIBE_HEADER = "List-Unsubscribe"
SEND_TASK = "common.send_emails"
# Delivery is given up after this time, because the links in the message have expired.
MAX_DELIVERY_AGE = timedelta(days=3)
_SPACES = re.compile(r"[^\S\xa0\u202f]+")
# Sent in the transaction that records the delivery. Arguments: category and reference (as given to `send_email`), sent_at.
email_delivered = Signal()


@dataclass(frozen=True, slots=True)
class EmailContent:
    """The content of an email, as plain text. `title` is also its subject.

    `label` and `link` are the button, `lines` are pairs of text and amount, `pdf` is the URL of a document, and `note` is the last
    paragraph, which explains why the recipient gets the email. `unsubscribe` is the page on which the recipient can turn off emails of this
    kind; emails that are always sent have none.
    """

    title: str
    paragraphs: tuple[str, ...]
    label: str = ""
    link: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    pdf: str = ""
    note: str = ""
    unsubscribe: str = ""


def send_email(content: EmailContent, *, to: str, category: str, reference: object = "", organization_id: UUID | None = None) -> None:
    """Render one message as text and HTML and store it for delivery.

    `category` is the kind of message ("invitation") and `reference` the ID of its object. The admin shows both, and the signal
    `email_delivered` sends them. `organization_id` is the organization that the message concerns, if it concerns one.
    """
    send_message(render_message(content, to), category, reference, organization_id)


def render_message(content: EmailContent, to: str) -> EmailMultiAlternatives:
    """Return the message to one recipient as text and HTML."""
    message = EmailMultiAlternatives(
        # A line break in a name must not become a header. No-break spaces, as in amounts, are kept.
        subject=_SPACES.sub(" ", content.title).strip(),
        body=render_to_string("mail/message.txt", {"email": content}),
        to=[to],
        # The page requires a sign-in, so mail programs cannot unsubscribe with one request (RFC 8058), only open the page (RFC 2369).
        headers={UNSUBSCRIBE_HEADER: f"<{content.unsubscribe}>"} if content.unsubscribe else None,
    )
    message.attach_alternative(render_to_string("mail/message.html", {"email": content}), "text/html")
    return message


def send_message(message: EmailMessage, category: str, reference: object = "", organization_id: UUID | None = None) -> None:
    """Store a rendered message, such as one of a library, for delivery. See `send_email` for the other arguments."""
    message.category, message.reference = category, str(reference)  # type: ignore[attr-defined]
    message.organization_id = organization_id  # type: ignore[attr-defined]
    message.send()


class QueueBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        with transaction.atomic():
            for message in email_messages:
                OutgoingEmail.objects.create(**_stored(message))
            # The job is deferred in the same transaction, so it exists if and only if the rows exist.
            app.configure_task(SEND_TASK, lock=SEND_TASK, queue="emails").defer(timestamp=0)
        return len(email_messages)


def _stored(message: EmailMessage) -> dict[str, Any]:
    alternatives = getattr(message, "alternatives", [])
    other_headers = message.extra_headers.keys() - {UNSUBSCRIBE_HEADER}
    if message.attachments or other_headers or any(kind != "text/html" for _, kind in alternatives):
        raise ValueError("Only messages of text and HTML can be stored. Attachments and other headers are not supported.")
    # Building the message raises on line breaks in headers, in the request that caused them instead of in the worker.
    subject = str(message.message()["Subject"] and message.subject)
    present = now()
    return {
        "category": getattr(message, "category", "other"),
        "reference": getattr(message, "reference", ""),
        "organization_id": getattr(message, "organization_id", None),
        "recipients": message.recipients(),
        "from_email": message.from_email,
        "subject": subject,
        "text": message.body,
        "html": alternatives[0][0] if alternatives else "",
        "unsubscribe": message.extra_headers.get(UNSUBSCRIBE_HEADER, ""),
        "next_attempt_at": present,
        "expires_at": present + MAX_DELIVERY_AGE,
    }
