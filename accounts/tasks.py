"""What identity does by itself."""

from datetime import timedelta

from django.core.management import call_command
from procrastinate.contrib.django import app

from contextmcp.common.clock import now

from .models import Revocation

# Longer than any process may go without looking and still trust what it remembers (revocations.GAP_SECONDS).
KEEP = timedelta(hours=1)


@app.periodic(cron="*/10 * * * *")
@app.task(name="accounts.forget_revocations", queueing_lock="accounts.forget_revocations", pass_context=False)
def forget_revocations(timestamp: int) -> None:
    """Delete what every process has heard of by now."""
    Revocation.objects.filter(created_at__lt=now() - KEEP).delete()


@app.periodic(cron="41 3 * * *")
@app.task(name="accounts.clear_sessions", queueing_lock="accounts.clear_sessions", pass_context=False)
def clear_sessions(timestamp: int) -> None:
    """Delete expired sessions, which Django itself never does."""
    call_command("clearsessions")
