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


def queued(subjects: Iterable[str]) -> set[str]:
    """Those of `subjects` that a job waits for or works on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT lock FROM procrastinate_jobs WHERE lock = ANY(%s) AND status IN ('todo', 'doing')",
            [list(subjects)],
        )
        return {lock for (lock,) in cursor.fetchall()}
