"""Report usage."""

from entitlements.manager import EntitlementsManager
from usage import selectors
from usage.errors import TemporarilyUnavailable
from usage.selectors import CurrentUsage

from .caller import UsageCaller, load_entitlements
from .effects import DatabaseUnreachable, Operation, ReadBalances


def current_usage(caller: UsageCaller) -> Operation[CurrentUsage]:
    """Return the current usage and limit of each quota, gauge and rate limit.

    Raises:
        TemporarilyUnavailable: PostgreSQL is unreachable.
    """
    at = caller.now()
    entitlements = EntitlementsManager.cached(caller.organization_id, at) or (yield from load_entitlements(caller, at))
    period = selectors.period_at(entitlements, at)
    try:
        balances = yield ReadBalances(caller.subject.organization, period.start)
    except DatabaseUnreachable:
        raise TemporarilyUnavailable(retry_after=1) from None
    return selectors.build_usage(entitlements, period, balances)
