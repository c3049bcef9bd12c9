"""Background jobs of billing. Each calls one service; schedules and retries are defined here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import ParamSpec
from uuid import UUID

from procrastinate import JobContext, RetryDecision
from procrastinate.contrib.django import app
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy

from accounts.models import Organization
from billing import operator_alerts
from billing.errors import BillingNotConfigured, RevenueRebuildInProgress, StripeUnavailable

from . import customers, maintenance, reconciliation
from .inbound import process_events
from .models import BillingAccount, SubscriptionState
from .notifications import deliver
from .overage import reporting
from .revenue import rebuild
from .stripe.gateway.client import is_configured
from .subscriptions import (
    bulk_migration,
    checkout,
    forced_cancellation,
    payment_confirmation,
    scheduled_change,
)
from .subscriptions import (
    pay_open_invoices as recovery,
)
from .sync import customer

QUEUE = "billing"
MAX_ATTEMPTS = 8
MAX_WAIT = 600
OUTAGE_WAIT = 30


class StripeRetryStrategy(BaseRetryStrategy):
    """Retry after 2, 4, 8 ... seconds, up to eight attempts. While Stripe is unavailable, retry at most 30 seconds apart without limit."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, StripeUnavailable | BillingNotConfigured):
            wait = min(2 ** min(job.attempts + 1, 10), OUTAGE_WAIT)
        elif job.attempts + 1 < MAX_ATTEMPTS:
            wait = min(2 ** (job.attempts + 1), MAX_WAIT)
        else:
            return None
        # The retry has a separate lock, so that new jobs of the same subject are not delayed by it.
        lock = job.lock if job.lock is None or job.lock.endswith(":again") else f"{job.lock}:again"
        return RetryDecision(retry_in={"seconds": wait}, lock=lock)


STRIPE_RETRY = StripeRetryStrategy()
P = ParamSpec("P")


def alerting(work: Callable[P, None]) -> Callable[P, None]:
    """Open an operator alert if a job fails for a reason that only the operator can fix. The job is retried as usual.

    The decorator is outside of the job's transaction, whose rollback would otherwise discard the alert.
    """

    @wraps(work)
    def run(*args: P.args, **arguments: P.kwargs) -> None:
        try:
            work(*args, **arguments)
        except Exception as error:
            if operator_alerts.needs_operator(error):
                operator_alerts.alert_operator(error, _organization(**arguments))
            raise

    return run


def _organization(**arguments: object) -> Organization | None:
    """Return the organization that a job's arguments identify, or None."""
    if organization_id := arguments.get("organization_id"):
        return Organization.objects.filter(pk=str(organization_id)).first()
    if subscription_id := arguments.get("subscription_id"):
        state = SubscriptionState.objects.filter(stripe_subscription_id=subscription_id).select_related("organization").first()
        return state.organization if state else None
    customer_id = arguments.get("customer_id") or arguments.get("subject")
    account = BillingAccount.objects.filter(stripe_customer_id=customer_id).select_related("organization").first() if customer_id else None
    return account.organization if account else None


@app.task(name="billing.process_events", queue=QUEUE, retry=STRIPE_RETRY, pass_context=True)
@alerting
def process_pending_events(context: JobContext, subject: str) -> None:
    try:
        process_events.process_events(subject)
    except Exception as error:
        final = STRIPE_RETRY.get_retry_decision(exception=error, job=context.job) is None
        process_events.record_failure(subject, error, final=final)
        raise


@app.task(name="billing.sync_customer", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def sync_customer(customer_id: str) -> None:
    customer.sync_customer(customer_id)


@app.task(name="billing.pay_open_invoices", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def pay_open_invoices(customer_id: str, card_id: str) -> None:
    recovery.pay_open_invoices(customer_id, card_id)


@app.task(name="billing.finalize_unpaid_invoices", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def finalize_unpaid_invoices(customer_id: str) -> None:
    recovery.finalize_unpaid(customer_id)


@app.task(name="billing.cancel_for_policy", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def cancel_for_policy(customer_id: str, reason: str) -> None:
    forced_cancellation.cancel_for_policy(customer_id, reason)


@app.task(name="billing.release_schedule", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def release_schedule(organization_id: str, schedule_id: str) -> None:
    payment_confirmation.release_schedule(Organization.objects.get(pk=organization_id), schedule_id)


@app.task(name="billing.align_schedule", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def align_schedule(organization_id: str) -> None:
    scheduled_change.carry_over(Organization.objects.get(pk=organization_id))


@app.task(name="billing.cancel_all_subscriptions", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def cancel_all_subscriptions(organization_id: str) -> None:
    forced_cancellation.cancel_all(Organization.objects.get(pk=organization_id))


@app.task(name="billing.cancel_withheld_trial", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def cancel_withheld_trial(organization_id: str, subscription_id: str) -> None:
    forced_cancellation.withhold_trial(Organization.objects.get(pk=organization_id), subscription_id)


@app.task(name="billing.close_checkout", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def close_checkout(organization_id: str) -> None:
    checkout.close_checkout(Organization.objects.get(pk=organization_id))


@app.task(name="billing.update_customer", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def update_customer(organization_id: str) -> None:
    customers.update_customer(organization_id)


@app.task(name="billing.run_plan_migration", queue=QUEUE, retry=STRIPE_RETRY)
def run_plan_migration(migration_id: str) -> None:
    bulk_migration.run(UUID(migration_id))


@app.task(name="billing.migrate_plan_item", queue=QUEUE, retry=STRIPE_RETRY, pass_context=True)
@alerting
def migrate_plan_item(context: JobContext, item_id: int) -> None:
    def is_final(error: Exception) -> bool:
        return STRIPE_RETRY.get_retry_decision(exception=error, job=context.job) is None

    bulk_migration.migrate_item(item_id, is_final)


@app.task(name="billing.run_reconciliation", queue="maintenance", retry=STRIPE_RETRY)
@alerting
def run_reconciliation(run_id: int) -> None:
    reconciliation.run_started(run_id)


@app.periodic(cron="* * * * *")
@app.task(name="billing.requeue_stranded_events", queue="maintenance", queueing_lock="billing.requeue_stranded_events")
def requeue_stranded_events(timestamp: int) -> None:
    maintenance.requeue_stranded_events()


@app.periodic(cron="17 3 * * *")
@app.task(name="billing.purge_events", queue="maintenance", queueing_lock="billing.purge_events")
def purge_events(timestamp: int) -> None:
    maintenance.purge()


@app.periodic(cron="41 2 * * *")
@app.task(name="billing.reconcile", queue="maintenance", queueing_lock="billing.reconcile", lock="billing.reconcile")
@alerting
def reconcile_everything(timestamp: int) -> None:
    if is_configured():
        reconciliation.reconcile()


@app.periodic(cron="*/15 * * * *")
@app.task(
    name="billing.rebuild_revenue",
    queue="maintenance",
    queueing_lock="billing.rebuild_revenue",
    lock="billing.rebuild_revenue",
)
def rebuild_revenue(timestamp: int) -> None:
    # `manage.py rebuild_revenue` is running. The next periodic run covers the same days.
    with suppress(RevenueRebuildInProgress):
        rebuild.rebuild_recent_days()


@app.task(name="billing.reconcile_organization", queue=QUEUE, retry=STRIPE_RETRY)
@alerting
def reconcile_organization(organization_id: str) -> None:
    reconciliation.reconcile(Organization.objects.get(pk=organization_id))


@app.periodic(cron="* * * * * */20")
@app.task(name="billing.report_overage", queue="maintenance", queueing_lock="billing.report_overage", lock="billing.report_overage")
@alerting
def report_overage(timestamp: int) -> None:
    if is_configured():
        reporting.enqueue_all_reports()
        reporting.send_reports()


@app.periodic(cron="* * * * * */10")
@app.task(name="billing.send_notifications", queue="emails", queueing_lock="billing.send_notifications")
def send_notifications(timestamp: int) -> None:
    deliver.deliver_due()
