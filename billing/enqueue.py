"""Enqueues billing's tasks by name, so that services do not import the tasks that call them.

All functions defer within the current transaction: the job is queued if and only if the transaction commits.
"""

from collections.abc import Iterable

from django.db import connection
from procrastinate.contrib.django import app
from procrastinate.types import JSONValue

QUEUE = "billing"


def process_events(subject: str) -> None:
    """Queue the processing of the pending events of `subject`."""
    app.configure_task("billing.process_events", lock=subject, queue=QUEUE).defer(subject=subject)


def sync(customer_id: str) -> None:
    """Queue a sync of a customer, whether or not it has pending events."""
    app.configure_task("billing.sync_customer", lock=customer_id, queue=QUEUE).defer(customer_id=customer_id)


def pay_open_invoices(customer_id: str, card_id: str) -> None:
    """Queue the payment of a customer's open invoices with a new payment method."""
    app.configure_task("billing.pay_open_invoices", lock=customer_id, queue=QUEUE).defer(customer_id=customer_id, card_id=card_id)


def finalize_unpaid(customer_id: str) -> None:
    """Queue the finalization of the latest invoice of a customer's unpaid subscriptions."""
    app.configure_task("billing.finalize_unpaid_invoices", lock=customer_id, queue=QUEUE).defer(customer_id=customer_id)


def forced_cancellation(customer_id: str, reason: str) -> None:
    """Queue the cancellation that the policy on refunds and disputes requires."""
    app.configure_task("billing.cancel_for_policy", lock=customer_id, queue=QUEUE).defer(customer_id=customer_id, reason=reason)


def release_schedule(organization_id: str, schedule_id: str) -> None:
    """Queue the release of a schedule that a later, paid plan change has replaced."""
    arguments = {"organization_id": organization_id, "schedule_id": schedule_id}
    app.configure_task("billing.release_schedule", lock=schedule_id, queue=QUEUE).defer(**arguments)


def align_schedule(organization_id: str) -> None:
    """Queue an update that applies later changes of a subscription to its scheduled change.

    Nothing is queued while a job is queued or running, because the job reads the current state from Stripe.
    """
    lock = f"schedule:{organization_id}"
    if not queued_locks([lock, f"{lock}:again"]):
        app.configure_task("billing.align_schedule", lock=lock, queue=QUEUE).defer(organization_id=organization_id)


def cancel_all(organization_id: str) -> None:
    """Queue the cancellation of a closed organization's subscriptions.

    Nothing is queued while a job is queued or running. Otherwise the sync within the job would queue another one.
    """
    lock = f"closed:{organization_id}"
    if not queued_locks([lock, f"{lock}:again"]):
        app.configure_task("billing.cancel_all_subscriptions", lock=lock, queue=QUEUE).defer(organization_id=organization_id)


def withhold_trial(organization_id: str, subscription_id: str) -> None:
    """Queue the cancellation of a subscription whose trial was used before.

    Nothing is queued while a job is queued or running. Otherwise the sync within the job would queue another one.
    """
    lock = f"trial:{organization_id}"
    if not queued_locks([lock, f"{lock}:again"]):
        app.configure_task("billing.cancel_withheld_trial", lock=lock, queue=QUEUE).defer(
            organization_id=organization_id, subscription_id=subscription_id
        )


def close_checkout(organization_id: str) -> None:
    """Queue the expiry of the organization's open Checkout session."""
    app.configure_task("billing.close_checkout", queue=QUEUE).defer(organization_id=organization_id)


def customer_update(organization_id: str) -> None:
    """Queue an update of the Stripe customer's name and email address."""
    app.configure_task("billing.update_customer", queue=QUEUE).defer(organization_id=organization_id)


def plan_migration(migration_id: str) -> None:
    """Queue the selection of a move's subscribers, which queues a job for each of them."""
    app.configure_task("billing.run_plan_migration", lock=f"plan-migration:{migration_id}", queue=QUEUE).defer(migration_id=migration_id)


def plan_migration_items(item_ids: Iterable[int]) -> None:
    """Queue one job for each subscriber of a move."""
    arguments: list[dict[str, JSONValue]] = [{"item_id": item_id} for item_id in item_ids]
    app.configure_task("billing.migrate_plan_item", queue=QUEUE).batch_defer(*arguments)


def reconciliation(run_id: int) -> None:
    """Queue a reconciliation run that staff started. It starts when no other run is in progress."""
    app.configure_task("billing.run_reconciliation", lock="billing.reconcile", queue="maintenance").defer(run_id=run_id)


def queued_locks(subjects: Iterable[str]) -> set[str]:
    """Return the `subjects` that are locks of queued or running jobs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT lock FROM procrastinate_jobs WHERE lock = ANY(%s) AND status IN ('todo', 'doing')",
            [list(subjects)],
        )
        return {lock for (lock,) in cursor.fetchall()}
