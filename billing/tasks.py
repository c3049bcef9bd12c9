"""Jobs of billing. Each calls one service; how often and when again is decided here."""

from __future__ import annotations

from procrastinate import JobContext, RetryDecision
from procrastinate.contrib.django import app
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy

from accounts.models import Organization
from billing.errors import BillingNotConfigured, StripeUnavailable

from .gateway.client import is_configured
from .services import apply, checkout, customers, enforcement, housekeeping, mail, meters, reconcile, recovery, sync

QUEUE = "billing"
TRIES = 8
LONGEST_WAIT = 600
OUTAGE_WAIT = 30


class Patience(BaseRetryStrategy):
    """2, 4, 8 ... seconds, eight times; while Stripe itself is away, every half minute for as long as it takes."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, StripeUnavailable | BillingNotConfigured):
            wait = min(2 ** min(job.attempts + 1, 10), OUTAGE_WAIT)
        elif job.attempts + 1 < TRIES:
            wait = min(2 ** (job.attempts + 1), LONGEST_WAIT)
        else:
            return None
        # Under a lock of its own, so that what comes in meanwhile need not wait as long.
        lock = job.lock if job.lock is None or job.lock.endswith(":again") else f"{job.lock}:again"
        return RetryDecision(retry_in={"seconds": wait}, lock=lock)


PATIENCE = Patience()


@app.task(name="billing.tasks.apply_events", queue=QUEUE, retry=PATIENCE, pass_context=True)
def apply_events(context: JobContext, subject: str) -> None:
    try:
        apply.apply_events(subject)
    except Exception as error:
        final = PATIENCE.get_retry_decision(exception=error, job=context.job) is None
        apply.note_failure(subject, error, final=final)
        raise


@app.task(name="billing.tasks.sync", queue=QUEUE, retry=PATIENCE)
def sync_customer(customer_id: str) -> None:
    sync.sync_customer(customer_id)


@app.task(name="billing.tasks.pay_open_invoices", queue=QUEUE, retry=PATIENCE)
def pay_open_invoices(customer_id: str, card_id: str) -> None:
    recovery.pay_open_invoices(customer_id, card_id)


@app.task(name="billing.tasks.enforce_policy", queue=QUEUE, retry=PATIENCE)
def enforce_policy(customer_id: str, reason: str) -> None:
    enforcement.enforce(customer_id, reason)


@app.task(name="billing.tasks.end_subscription", queue=QUEUE, retry=PATIENCE)
def end_subscription(organization_id: str) -> None:
    enforcement.end_everything(Organization.objects.get(pk=organization_id))


@app.task(name="billing.tasks.close_checkout", queue=QUEUE, retry=PATIENCE)
def close_checkout(organization_id: str) -> None:
    checkout.close(Organization.objects.get(pk=organization_id))


@app.task(name="billing.tasks.introduce", queue=QUEUE, retry=PATIENCE)
def introduce(organization_id: str) -> None:
    customers.introduce(organization_id)


@app.periodic(cron="* * * * *")
@app.task(name="billing.tasks.sweep", queue="keeper", queueing_lock="billing_sweep")
def sweep(timestamp: int) -> None:
    housekeeping.requeue_forgotten()


@app.periodic(cron="17 3 * * *")
@app.task(name="billing.tasks.purge", queue="keeper", queueing_lock="billing_purge")
def purge(timestamp: int) -> None:
    housekeeping.purge()


@app.periodic(cron="41 2 * * *")
@app.task(name="billing.tasks.reconcile", queue="keeper", queueing_lock="billing_reconcile", lock="billing_reconcile")
def reconcile_everything(timestamp: int) -> None:
    if is_configured():
        reconcile.run()


@app.task(name="billing.tasks.reconcile_organization", queue=QUEUE, retry=PATIENCE)
def reconcile_organization(organization_id: str) -> None:
    reconcile.run(Organization.objects.get(pk=organization_id))


@app.periodic(cron="* * * * * */20")
@app.task(name="billing.tasks.report_overage", queue="keeper", queueing_lock="billing_overage", lock="billing_overage")
def report_overage(timestamp: int) -> None:
    if is_configured():
        meters.collect_all()
        meters.send()


@app.periodic(cron="* * * * * */10")
@app.task(name="billing.tasks.send_notices", queue="mail", queueing_lock="billing_notices")
def send_notices(timestamp: int) -> None:
    mail.send_due()
