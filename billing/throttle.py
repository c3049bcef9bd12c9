"""Rate limit of customers' requests that call Stripe. Stripe limits the whole account, so one customer must not exhaust the limit."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection

from accounts.models import Organization, User
from billing.errors import TooManyBillingRequests
from billing.models import StripeRequestWindow
from contextmcp.common.clock import now
from contextmcp.common.errors import until

WINDOW = timedelta(minutes=1)
RETENTION = timedelta(days=1)
_COUNT = """
INSERT INTO billing_striperequestwindow (subject, starts_at, requests) VALUES (%s, %s, 1)
ON CONFLICT (subject, starts_at) DO UPDATE SET requests = billing_striperequestwindow.requests + 1
RETURNING requests
"""


def count_request(organization: Organization, user: User | None) -> None:
    """Count one request of the organization, and of the user across all organizations.

    Windows are fixed, so up to twice the limit can pass around a boundary. Counts are in PostgreSQL, so that a cache outage does not
    disable the limit.

    Raises:
        TooManyBillingRequests: either has reached `BILLING_REQUESTS_PER_MINUTE` in this window. Details: `limit`, `retry_after`.
    """
    current_time = now()
    seconds = WINDOW.total_seconds()
    starts_at = datetime.fromtimestamp(current_time.timestamp() // seconds * seconds, UTC)
    limit = settings.BILLING_REQUESTS_PER_MINUTE
    for subject in filter(None, [f"organization:{organization.pk}", f"user:{user.pk}" if user else ""]):
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [subject, starts_at])
            (requests,) = cursor.fetchone()
        if requests > limit:
            raise TooManyBillingRequests(limit=limit, retry_after=until(starts_at + WINDOW, current_time))


def purge() -> None:
    """Delete windows older than `RETENTION`."""
    StripeRequestWindow.objects.filter(starts_at__lt=now() - RETENTION).delete()
