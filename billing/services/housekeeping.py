"""What keeps the inbox small and nothing in it forgotten."""

from datetime import timedelta

from django.db import connection, transaction

from billing.models import WebhookEvent
from contextmcp.common.clock import now

from . import queue

FORGOTTEN_AFTER = timedelta(minutes=1)
KEEP_EVENTS = timedelta(days=90)
KEEP_JOBS = timedelta(days=7)
BATCH = 5000


def requeue_forgotten() -> int:
    """Queue again what waits without a job, as after a restored backup. Returns how many subjects that were."""
    late = WebhookEvent.objects.waiting().filter(received_at__lt=now() - FORGOTTEN_AFTER)
    subjects = set(late.values_list("subject", flat=True).distinct()[:BATCH])
    again = {f"{subject}:again" for subject in subjects}
    busy = {lock.removesuffix(":again") for lock in queue.queued(subjects | again)}
    for subject in sorted(subjects - busy):
        queue.apply_later(subject)
    return len(subjects - busy)


def purge() -> int:
    """Drop events that were dealt with three months ago, in batches, and the traces of finished jobs. Dead letters stay."""
    old = WebhookEvent.objects.filter(received_at__lt=now() - KEEP_EVENTS).exclude(
        state__in=[WebhookEvent.State.DEAD, WebhookEvent.State.PENDING]
    )
    total = 0
    while ids := list(old.values_list("pk", flat=True)[:BATCH]):
        total += WebhookEvent.objects.filter(pk__in=ids).delete()[0]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            DELETE FROM procrastinate_jobs j
            WHERE j.status IN ('succeeded', 'failed', 'cancelled', 'aborted')
              AND (SELECT max(e.at) FROM procrastinate_events e WHERE e.job_id = j.id) < %s
            """,
            [now() - KEEP_JOBS],
        )
    return total
