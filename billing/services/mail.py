"""Sending what notices say, after the commit that wrote them."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.db.models import F, Q
from django.template.loader import render_to_string

from billing.models import Notice
from contextmcp.common.clock import now
from contextmcp.common.emails import label

from . import letters

log = structlog.get_logger(__name__)
BATCH = 100
TRIES = 10
# A sender that died with a letter in its hand: another one takes it up after this.
CLAIM = timedelta(minutes=5)


def send_due() -> int:
    """Send every letter that is due by its organization's clock and still true. Returns how many were sent."""
    present = now()
    free = Q(claimed_until=None) | Q(claimed_until__lt=present)
    waiting = Notice.objects.filter(free, sent_at=None, dropped_at=None, attempts__lt=TRIES)
    due = waiting.filter(due_at__lte=present + F("organization__clock_offset")).select_related("organization").order_by("id")
    return sum(_send(notice) for notice in due[:BATCH])


def _send(notice: Notice) -> bool:
    present = now()
    # One conditional update decides who sends: no mail inside a transaction, and no second one from another worker.
    free = Q(claimed_until=None) | Q(claimed_until__lt=present)
    mine = Notice.objects.filter(free, pk=notice.pk, sent_at=None)
    if not mine.update(claimed_until=present + CLAIM, attempts=F("attempts") + 1):
        return False
    letter = letters.write(notice)
    if letter is None or notice.organization.closed_at:
        Notice.objects.filter(pk=notice.pk).update(dropped_at=present)
        return False
    try:
        # Both or neither: a letter that is queued is queued once.
        with transaction.atomic():
            _letter(notice, letter).send()
            Notice.objects.filter(pk=notice.pk).update(sent_at=now(), error="")
    except OSError as error:  # SMTP's own exceptions are OSErrors too.
        # Not at once: the claim keeps it for a while, and so spaces the tries.
        Notice.objects.filter(pk=notice.pk).update(error=f"{type(error).__name__}: {error}"[:500])
        log.warning("billing.mail_failed", notice=notice.pk, error=type(error).__name__)
        return False
    return True


def _letter(notice: Notice, letter: letters.Letter) -> EmailMultiAlternatives:
    context = {"letter": letter, "organization": notice.organization}
    # A line break in a name must not become a header.
    message = EmailMultiAlternatives(
        subject=" ".join(letter.title.split()),
        body=render_to_string("billing/mail/letter.txt", context),
        to=[notice.organization.email],
    )
    message.attach_alternative(render_to_string("billing/mail/letter.html", context), "text/html")
    label(message, f"billing.{notice.kind}", notice.pk)
    return message
