"""Periodic tasks: deliver email, purge idempotency records and old messages."""

from datetime import timedelta

from procrastinate.contrib.django import app

from . import delivery
from .clock import now
from .emails import SEND_TASK
from .models import IdempotencyRecord, OutgoingEmail

# Clients do not retry for longer than this. Stripe keeps idempotency keys for 24 hours.
IDEMPOTENCY_RETENTION = timedelta(days=7)
# Staff can look up for this long whether a message was delivered.
EMAIL_RETENTION = timedelta(days=30)


@app.periodic(cron="17 * * * *")
@app.task(name="common.purge_idempotency_records", queueing_lock="common.purge_idempotency_records", pass_context=False)
def purge_idempotency_records(timestamp: int) -> None:
    """Delete idempotency records older than IDEMPOTENCY_RETENTION."""
    IdempotencyRecord.objects.filter(created_at__lt=now() - IDEMPOTENCY_RETENTION).delete()


@app.task(name=SEND_TASK, queue="emails", lock=SEND_TASK, pass_context=False)
def send_emails(timestamp: int) -> None:
    """Deliver due messages. Storing a message defers this task in the same transaction."""
    delivery.deliver_due()


@app.periodic(cron="* * * * * */10")
@app.task(name="common.retry_emails", queue="emails", lock=SEND_TASK, queueing_lock="common.retry_emails", pass_context=False)
def retry_emails(timestamp: int) -> None:
    """Retry due messages. The lock prevents concurrent runs with `send_emails`."""
    delivery.deliver_due()


@app.periodic(cron="23 * * * *")
@app.task(name="common.purge_emails", queueing_lock="common.purge_emails", pass_context=False)
def purge_emails(timestamp: int) -> None:
    """Delete sent and failed messages older than EMAIL_RETENTION."""
    OutgoingEmail.objects.filter(created_at__lt=now() - EMAIL_RETENTION).exclude(state=OutgoingEmail.State.QUEUED).delete()
