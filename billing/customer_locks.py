"""Locks of billing: one per customer and meter for a transaction, and one per organization for changes that call Stripe."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection

from accounts.models import Organization
from contextmcp.common.errors import Conflict
from contextmcp.common.locks import Namespace, lock_in_transaction, session_lock


def lock_customer(subject: str) -> datetime:
    """Lock a customer's part of the mirror until the transaction ends. Call it before the fetch.

    Without the lock, a worker that stalls between fetch and write would overwrite newer data with its stale copy.

    Returns the time, by the database's clock, at which the lock was acquired. A later fetch contains every change that Stripe made before
    this time.
    """
    lock_in_transaction(Namespace.CUSTOMER, subject)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        acquired_at: datetime = cursor.fetchone()[0]
        return acquired_at


def lock_meter(organization: Organization, feature: str) -> None:
    """Lock the reports of a feature's overage until the transaction ends, so that no usage is reported twice."""
    lock_in_transaction(Namespace.METER, f"{organization.pk}:{feature}")


class ChangeInProgress(Conflict):
    code = "change_in_progress"
    message = "Another billing change for this organization is in progress. Try again in a moment."


@contextmanager
def serialized(organization_id: object, *, timeout: float = 20.0) -> Iterator[None]:
    """Serialize changes of one organization's billing with a session lock, so that no transaction is open while Stripe is called.

    Raises `ChangeInProgress` if the lock is not free after `timeout` seconds.
    """
    with session_lock(Namespace.BILLING_CHANGE, organization_id, timeout=timeout) as acquired:
        if not acquired:
            raise ChangeInProgress(retry_after=1)
        yield
