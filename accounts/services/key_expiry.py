"""Remind members of API keys that expire soon."""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from accounts import key_emails
from accounts.models import ApiKey
from contextmcp.common.clock import now

REMIND_BEFORE = timedelta(days=7)
# Keys with a shorter lifetime are replaced as a matter of course, and their expiration is no news.
MIN_LIFETIME = timedelta(days=14)
BATCH = 200


def remind_of_expiring_keys() -> int:
    """Email the creators of keys that expire within a week, once per key. Return the number of emails.

    Keys that were rotated have a successor, and their end was chosen.
    """
    present = now() + F("organization__clock_offset")
    successors = ApiKey.objects.filter(rotated_from=OuterRef("pk"), revoked_at=None)
    due = ApiKey.objects.filter(
        ~Exists(successors),
        revoked_at=None,
        expiry_email_at=None,
        expires_at__gt=present,
        expires_at__lte=present + REMIND_BEFORE,
        expires_at__gte=F("created_at") + MIN_LIFETIME,
        creator__user__is_active=True,
        organization__closed_at=None,
    )
    count = 0
    for key in due.select_related("creator__user", "organization").order_by("expires_at")[:BATCH]:
        with transaction.atomic():
            # One conditional UPDATE, so that two workers cannot send the same reminder.
            if ApiKey.objects.filter(pk=key.pk, expiry_email_at=None).update(expiry_email_at=now()):
                key_emails.send_expiring(key)
                count += 1
    return count
