"""Ending holds: by their true amount, by release, or because their time is over."""

from uuid import UUID

from django.db import connection, transaction

from contextmcp.common.errors import DomainError, NotFound
from entitlements.periods import Period

from . import statements, store
from .decide import Settled
from .models import UsageHold
from .types import Settlement, Who


def end(who: Who, hold_id: UUID, amount: int | None) -> Settled:
    """Settle it, or with None release it. A repeat answers as the first did; NotFound, Conflict."""
    outcome = store.execute([settlement(who, hold_id, amount)])[0]
    if isinstance(outcome, DomainError):
        raise outcome
    assert isinstance(outcome, Settled)
    return outcome


def settlement(who: Who, hold_id: UUID, amount: int | None) -> Settlement:
    """What to decide. The hold's counter must be known before it can be locked; which it is never changes."""
    row = UsageHold.objects.filter(pk=hold_id, organization_id=who.organization_id).first()
    if row is None:
        raise NotFound
    return Settlement(who, hold_id, row.feature, Period(row.period_start, row.period_end), amount)


_DUE = """
SELECT DISTINCT organization_id, feature, period_start FROM usage_holds
WHERE state = 'held' AND expires_at <= now() ORDER BY 1, 2, 3 LIMIT 1000
"""


def expire_due() -> int:
    """End what is due, a transaction for each counter; returns how many counters had some."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE)
        due = cursor.fetchall()
    for key in due:
        with transaction.atomic():
            run = store.cursor().execute
            # The counter first, as everybody does.
            run("SELECT 1 FROM usage_counters WHERE organization_id = %s AND feature = %s AND period_start = %s FOR NO KEY UPDATE", key)
            run(statements.EXPIRE_HOLDS, [*key, *key])
    return len(due)
