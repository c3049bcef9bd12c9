"""What usage does by itself."""

from datetime import UTC, datetime

from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from . import holds, partitions
from .alerts import letters, news
from .alerts.look import forget_watches, look
from .spool import keeper
from .webhooks import delivery, outbox


@app.periodic(cron="* * * * *")
@app.task(name="usage.expire_holds", queueing_lock="usage.expire_holds", pass_context=False)
def expire_holds(timestamp: int) -> None:
    """Give back what nobody settled. Decisions do it themselves when room is short; this is for what is shown."""
    holds.expire_due()


@app.periodic(cron="* * * * *")
@app.task(name="usage.replay_spool", queueing_lock="usage.replay_spool", pass_context=False)
def replay_spool(timestamp: int) -> None:
    """Count what processes that are gone left behind. Those that live do it themselves, at once."""
    if (place := keeper.folder()) is not None:
        keeper.SPOOL.replay(place)


@app.periodic(cron="17 3 * * *")
@app.task(name="usage.keep_partitions", queueing_lock="usage.keep_partitions", pass_context=False)
def keep_partitions(timestamp: int) -> None:
    """Make partitions ahead, detach what is past retention, forget old idempotency keys."""
    present = datetime.now(UTC)
    partitions.create_ahead(present)
    # Before what may have to wait for a reader for long, and fail.
    partitions.purge_keys(present)
    partitions.detach_expired(present)


@app.periodic(cron="* * * * * */15")
@app.task(name="usage.look_for_alerts", queue="keeper", queueing_lock="usage.look_for_alerts", lock="usage.look_for_alerts")
def look_for_alerts(timestamp: int) -> None:
    """Warn of what was reached since the last look."""
    look()


@app.task(name=news.TASK, queue=news.QUEUE, retry=RetryStrategy(max_attempts=8, exponential_wait=4))
def mail_alert(alert_id: str, user_id: int) -> None:
    letters.send(alert_id, user_id)


@app.periodic(cron="* * * * * */5")
@app.task(name=outbox.TASK, queue=outbox.QUEUE, queueing_lock=outbox.TASK, lock=outbox.TASK)
def deliver_webhooks(timestamp: int) -> None:
    """Send what is due. One at a time: however many endpoints hang, the other jobs keep their workers."""
    delivery.deliver_due()


@app.periodic(cron="29 3 * * *")
@app.task(name="usage.keep_webhooks", queueing_lock="usage.keep_webhooks")
def keep_webhooks(timestamp: int) -> None:
    """Forget old deliveries and watches; store secrets under the newest of the server's."""
    delivery.purge()
    delivery.renew_secrets()
    forget_watches()
