"""What the floor does by itself."""

from datetime import timedelta

from procrastinate.contrib.django import app

from .clock import now
from .models import IdempotencyRecord

# Answers to repeats are kept a week: longer than any client's retries, and seven times as long as Stripe keeps its own.
KEEP = timedelta(days=7)


@app.periodic(cron="17 * * * *")
@app.task(name="common.forget_answers", queueing_lock="common.forget_answers", pass_context=False)
def forget_answers(timestamp: int) -> None:
    """Delete what nobody will repeat any more."""
    IdempotencyRecord.objects.filter(created_at__lt=now() - KEEP).delete()
