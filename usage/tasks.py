"""What usage does by itself."""

from datetime import UTC, datetime

from procrastinate.contrib.django import app

from . import holds, partitions


@app.periodic(cron="* * * * *")
@app.task(name="usage.expire_holds", queueing_lock="usage.expire_holds", pass_context=False)
def expire_holds(timestamp: int) -> None:
    """Give back what nobody settled. Decisions do it themselves when room is short; this is for what is shown."""
    holds.expire_due()


@app.periodic(cron="17 3 * * *")
@app.task(name="usage.keep_partitions", queueing_lock="usage.keep_partitions", pass_context=False)
def keep_partitions(timestamp: int) -> None:
    """Make partitions ahead, detach what is past retention, forget old idempotency keys."""
    present = datetime.now(UTC)
    partitions.create_ahead(present)
    partitions.detach_expired(present)
    partitions.purge_keys(present)
