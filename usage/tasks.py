"""Periodic jobs: expire holds, replay the spool, maintain partitions, evaluate alerts, deliver webhooks."""

from datetime import UTC, datetime

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from .alerts import email, publish
from .alerts.evaluate import evaluate_alerts, purge_checkpoints
from .refusals import store as refusal_store
from .spool import spool
from .store import holds, partitions
from .webhooks import dispatcher, outbox, secrets


@app.periodic(cron="* * * * *")
@app.task(name="usage.expire_holds", queueing_lock="usage.expire_holds", pass_context=False)
def expire_holds(timestamp: int) -> None:
    """Expire due holds, so that displayed totals are current. A decision that would refuse a quota also expires due holds."""
    holds.expire_due()


@app.periodic(cron="* * * * *")
@app.task(name="usage.replay_spool", queueing_lock="usage.replay_spool", pass_context=False)
def replay_spool(timestamp: int) -> None:
    """Replay the spool files of processes that have ended. A running process replays its own file within seconds."""
    if (directory := spool.spool_dir()) is not None:
        spool.SPOOL.replay(directory)


@app.periodic(cron="17 3 * * *")
@app.task(name="usage.maintain_partitions", queueing_lock="usage.maintain_partitions", pass_context=False)
def maintain_partitions(timestamp: int) -> None:
    """Create partitions in advance, delete idempotency keys past retention, and detach expired partitions."""
    present = datetime.now(UTC)
    partitions.create_ahead(present)
    # Keys are purged first, because detaching may wait for a long-running reader and fail.
    partitions.purge_keys(present)
    partitions.detach_expired(present)


@app.periodic(cron="* * * * * */15")
@app.task(name="usage.evaluate_alerts", queue="maintenance", queueing_lock="usage.evaluate_alerts", lock="usage.evaluate_alerts")
def evaluate_usage_alerts(timestamp: int) -> None:
    """Evaluate alerts for the counters and gauges that changed since the last run."""
    evaluate_alerts()


@app.task(name=publish.TASK, queue=publish.QUEUE, retry=RetryStrategy(max_attempts=8, exponential_wait=4))
def send_alert_email(alert_id: str, user_id: int) -> None:
    """Send the email about one alert to one user."""
    email.send(alert_id, user_id)


@app.periodic(cron="* * * * * */5")
@app.task(name=outbox.TASK, queue=outbox.QUEUE, queueing_lock=outbox.TASK, lock=outbox.TASK)
def deliver_webhooks(timestamp: int) -> None:
    """Send webhook deliveries that are due. The lock allows one run at a time, so slow endpoints occupy a single worker."""
    dispatcher.deliver_due()


@app.periodic(cron="29 3 * * *")
@app.task(name="usage.purge_webhook_deliveries", queueing_lock="usage.purge_webhook_deliveries")
def purge_webhook_deliveries(timestamp: int) -> None:
    """Delete old deliveries and alert checkpoints, and re-encrypt webhook secrets under the newest server secret."""
    dispatcher.purge()
    secrets.reencrypt_all()
    purge_checkpoints()


@app.periodic(cron="41 3 * * *")
@app.task(name="usage.purge_refusals", queue="maintenance", queueing_lock="usage.purge_refusals")
def purge_refusals(timestamp: int) -> None:
    """Delete the record of refusals past retention."""
    refusal_store.purge(datetime.now(UTC))
