"""Find the hold to settle or release, and expire holds."""

from uuid import UUID

from django.db import connection, transaction

from contextmcp.common.errors import NotFound
from entitlements.periods import Period
from usage.models import UsageHold
from usage.types import ServiceContext, SettleHold, UsageSubject

from . import codec, executor


def build_settlement(
    subject: UsageSubject, hold_id: UUID, amount: int | None, service: ServiceContext | None = None, tool: str = ""
) -> SettleHold:
    """Build the command that settles a hold with `amount` units, or releases it if `amount` is None. Blocks for a query.

    The command contains the hold's feature and period, which never change. They identify the counter to lock.

    Raises:
        NotFound: the organization has no such hold.
    """
    row = UsageHold.objects.filter(pk=hold_id, organization_id=subject.organization_id).first()
    if row is None:
        raise NotFound
    return SettleHold(subject, hold_id, row.feature, Period(row.period_start, row.period_end), amount, service, tool)


_DUE = """
SELECT DISTINCT organization_id, feature, period_start FROM usage_holds
WHERE state = 'held' AND expires_at <= now() ORDER BY 1, 2, 3 LIMIT 1000
"""
_LOCK_COUNTER = "SELECT 1 FROM usage_counters WHERE organization_id = %s AND feature = %s AND period_start = %s FOR NO KEY UPDATE"


def expire_due() -> int:
    """Expire due holds, one transaction per counter. Return the number of counters that had due holds."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE)
        due = cursor.fetchall()
    for organization_id, feature, period_start in due:
        with transaction.atomic():
            # The counter is locked before the holds, in the lock order of `usage.store.sql`.
            with connection.cursor() as cursor:
                cursor.execute(_LOCK_COUNTER, [organization_id, feature, period_start])
            executor.run([codec.expire_query((organization_id.bytes, feature, period_start))])
    return len(due)


def hold_state(organization_id: UUID, hold_id: UUID) -> str:
    """Return the hold's state. Blocks for a query. Raises `NotFound`."""
    state = UsageHold.objects.filter(pk=hold_id, organization_id=organization_id).values_list("state", flat=True).first()
    if state is None:
        raise NotFound
    return state
