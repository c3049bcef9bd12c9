"""Putting work into the queue, by name: tasks call services, services do not import tasks."""

from collections.abc import Iterable

from django.db import connection
from procrastinate.contrib.django import app

QUEUE = "billing"


def apply_later(subject: str) -> None:
    """Have the events of `subject` worked on, in this transaction or not at all."""
    app.configure_task("billing.tasks.apply_events", lock=subject, queue=QUEUE).defer(subject=subject)


def sync_later(customer_id: str) -> None:
    """Have a customer synced whether or not events wait for it."""
    app.configure_task("billing.tasks.sync", lock=customer_id, queue=QUEUE).defer(customer_id=customer_id)


def pay_later(customer_id: str, card_id: str) -> None:
    """Have a customer's open invoices paid with a card that is new."""
    app.configure_task("billing.tasks.pay_open_invoices", lock=customer_id, queue=QUEUE).defer(customer_id=customer_id, card_id=card_id)


def enforce_later(customer_id: str, reason: str) -> None:
    """Have the policy on refunds and disputes carried out."""
    app.configure_task("billing.tasks.enforce_policy", lock=customer_id, queue=QUEUE).defer(customer_id=customer_id, reason=reason)


def end_later(organization_id: str) -> None:
    """Have the subscriptions of a closed organization ended, unless that is under way: it looks at Stripe, and would queue itself again."""
    lock = f"closed:{organization_id}"
    if not queued([lock, f"{lock}:again"]):
        app.configure_task("billing.tasks.end_subscription", lock=lock, queue=QUEUE).defer(organization_id=organization_id)


def close_checkout_later(organization_id: str) -> None:
    """Have the Checkout page that is still open closed."""
    app.configure_task("billing.tasks.close_checkout", queue=QUEUE).defer(organization_id=organization_id)


def introduce_later(organization_id: str) -> None:
    """Have Stripe told the organization's name and billing address."""
    app.configure_task("billing.tasks.introduce", queue=QUEUE).defer(organization_id=organization_id)


def queued(subjects: Iterable[str]) -> set[str]:
    """Those of `subjects` that a job waits for or works on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT lock FROM procrastinate_jobs WHERE lock = ANY(%s) AND status IN ('todo', 'doing')",
            [list(subjects)],
        )
        return {lock for (lock,) in cursor.fetchall()}
