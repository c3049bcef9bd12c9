"""Maintenance of the inbox: requeues events without a job and deletes old rows."""

from datetime import timedelta

from django.db import connection, transaction

from billing.models import WebhookEvent
from contextmcp.common.clock import now

from . import enqueue, throttle

STRANDED_AFTER = timedelta(minutes=1)
EVENT_RETENTION = timedelta(days=90)
JOB_RETENTION = timedelta(days=7)
BATCH = 5000


def requeue_stranded_events() -> int:
    """Queue jobs for pending events that have none, for example after a backup was restored. Returns the number of subjects queued."""
    stranded = WebhookEvent.objects.pending().filter(received_at__lt=now() - STRANDED_AFTER)
    subjects = set(stranded.values_list("subject", flat=True).distinct()[:BATCH])
    retry_locks = {f"{subject}:again" for subject in subjects}
    queued = {lock.removesuffix(":again") for lock in enqueue.queued_locks(subjects | retry_locks)}
    for subject in sorted(subjects - queued):
        enqueue.process_events(subject)
    return len(subjects - queued)


def purge() -> int:
    """Delete old events in batches, old finished jobs, and old request counts. Pending and dead events are kept.

    Returns the number of deleted events.
    """
    old = WebhookEvent.objects.filter(received_at__lt=now() - EVENT_RETENTION).exclude(
        state__in=[WebhookEvent.State.DEAD, WebhookEvent.State.PENDING]
    )
    throttle.purge()
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
            [now() - JOB_RETENTION],
        )
    return total
