"""Set and decrease gauges. `authorize` increases them."""

from entitlements.manager import EntitlementsManager
from usage.authorize.gauges import build_gauge_decrease, build_gauge_setting
from usage.decision.results import Authorized
from usage.types import ItemResult

from .authorization import execute_authorization
from .caller import UsageCaller, load_entitlements
from .effects import Operation
from .events import execute_command


def set_gauge(caller: UsageCaller, feature: str, value: int) -> Operation[ItemResult]:
    """Set the units of a gauge that are in use. They may exceed the limit, because the caller reports units that are already in use.

    If a service key changes the value, this is written to the audit log in the same transaction.

    Raises:
        FeatureNotAvailable, PlanInactive, PaymentRequired: the plan does not include the feature.
        ValidationFailed: the feature is no gauge, or its value is derived.
        TemporarilyUnavailable: PostgreSQL is unreachable.
    """
    at = caller.now()
    entitlements = EntitlementsManager.cached(caller.organization_id, at) or (yield from load_entitlements(caller, at))
    command = build_gauge_setting(caller.subject, entitlements, feature, value, service=caller.service)
    result = yield from execute_command(command)
    assert isinstance(result, ItemResult)
    return result


def decrease_gauge(caller: UsageCaller, feature: str, amount: int, key: str | None = None) -> Operation[Authorized]:
    """Decrease a gauge by `amount` units. `key` is the idempotency key.

    A decrease by a service key is written to the audit log in the same transaction.

    Raises:
        ReleaseExceedsUsage: less is in use.
        FeatureNotAvailable, PlanInactive, PaymentRequired: the plan does not include the feature.
        ValidationFailed: the feature is no gauge, or its value is derived.
        TemporarilyUnavailable: PostgreSQL is unreachable and the feature fails closed.
    """
    at = caller.now()
    entitlements = EntitlementsManager.cached(caller.organization_id, at) or (yield from load_entitlements(caller, at))
    command = build_gauge_decrease(caller.subject, entitlements, feature, amount, at=at, key=key, service=caller.service)
    return (yield from execute_authorization(command))
