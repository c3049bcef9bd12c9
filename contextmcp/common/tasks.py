"""What the floor does by itself."""

from datetime import timedelta

from procrastinate.contrib.django import app

from . import delivery
from .clock import now
from .emails import SEND_TASK
from .models import IdempotencyRecord, OutgoingEmail

# Answers to repeats are kept a week: longer than any client's retries, and seven times as long as Stripe keeps its own.
KEEP = timedelta(days=7)
# Long enough for staff to see what happened to a message.
KEEP_EMAILS = timedelta(days=30)


@app.periodic(cron="17 * * * *")
@app.task(name="common.forget_answers", queueing_lock="common.forget_answers", pass_context=False)
def forget_answers(timestamp: int) -> None:
    """Delete what nobody will repeat any more."""
    IdempotencyRecord.objects.filter(created_at__lt=now() - KEEP).delete()


@app.task(name=SEND_TASK, queue="emails", lock=SEND_TASK, pass_context=False)
def send_emails(timestamp: int) -> None:
    """Deliver what is due. Whoever stores a message defers this in the same transaction."""
    delivery.send_due()


@app.periodic(cron="* * * * * */10")
@app.task(name="common.retry_emails", queue="emails", lock=SEND_TASK, queueing_lock="common.retry_emails", pass_context=False)
def retry_emails(timestamp: int) -> None:
    """Deliver what is due again. Never at the same time as `send_emails`."""
    delivery.send_due()


@app.periodic(cron="23 * * * *")
@app.task(name="common.forget_emails", queueing_lock="common.forget_emails", pass_context=False)
def forget_emails(timestamp: int) -> None:
    """Delete messages that were sent or given up long ago."""
    OutgoingEmail.objects.filter(created_at__lt=now() - KEEP_EMAILS).exclude(state=OutgoingEmail.State.QUEUED).delete()
