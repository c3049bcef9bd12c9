"""Build an `AuthorizeCommand` from a validated request and the caller's entitlements, before any counter is read."""

from datetime import datetime, timedelta

from contextmcp.common.ids import uuid7
from entitlements.catalog import CATALOG
from entitlements.periods import Period
from entitlements.types import Entitlements, FeatureEntitlement, Kind
from usage.types import AuthorizeCommand, Flag, Gauge, Item, LineItem, NewHold, Quota, Rate, UsageSubject

from . import fingerprints
from .requests import Request, validation_error

# Gauges whose value is calculated from other tables. They cannot be set, increased or decreased.
DERIVED_FEATURES = frozenset({CATALOG.seats.name} if CATALOG.seats else ())


def build_authorization(
    subject: UsageSubject,
    entitlements: Entitlements,
    request: Request,
    *,
    at: datetime,
    real: datetime,
    key: str | None = None,
    members: int = 0,
) -> AuthorizeCommand:
    """Build the command.

    `at` is the current time of the organization's clock, which may be a test clock, and `real` is the current real time. `members` is the
    number of members, which is needed if `requires_member_count` returns True. Raises `FeatureNotAvailable`, `UnknownFeature`,
    `PlanInactive`, `PaymentRequired` or `ValidationFailed`.
    """
    line_items = [build_item(entitlements.require(item.feature), item, at=at, members=members) for item in request.items]
    hold = None
    if request.hold_seconds is not None:
        if not isinstance(line_items[0], Quota):
            raise validation_error("hold", "Only features with a monthly quota can be held.")
        hold = NewHold(uuid7(), real + timedelta(seconds=request.hold_seconds))
    if key is None:
        return AuthorizeCommand(subject, at, line_items, request.single, b"", None, hold, tool=request.tool)
    amounts = [(item.feature, item.amount) for item in request.items]
    fingerprint = fingerprints.request_fingerprint(amounts, "" if hold is None else "\nhold")
    return AuthorizeCommand(subject, at, line_items, request.single, fingerprint, fingerprints.key_digest(key), hold, tool=request.tool)


def build_item(entitlement: FeatureEntitlement, item: Item, *, at: datetime, members: int = 0) -> LineItem:
    """Return the line item for one requested feature, according to the feature's kind."""
    match entitlement.kind:
        case Kind.QUOTA:
            return Quota(item.feature, item.amount, entitlement, period_of(entitlement, at))
        case Kind.GAUGE:
            derived_value = members if item.feature in DERIVED_FEATURES else None
            return Gauge(item.feature, item.amount, entitlement.limit, derived_value, entitlement.failure_mode)
        case Kind.RATE_LIMIT:
            return Rate(item.feature, item.amount, entitlement.limit, entitlement.failure_mode)
    return Flag(item.feature, item.amount)


_period_cache: dict[datetime, Period] = {}
_MAX_CACHED = 100_000


def period_of(entitlement: FeatureEntitlement, at: datetime) -> Period:
    """Return the entitlement's usage month that contains `at`. The last period of each anchor is cached, because most calls need it."""
    period = _period_cache.get(entitlement.anchor)
    if period is not None and period.start <= at < period.end:
        return period
    if len(_period_cache) >= _MAX_CACHED:
        _period_cache.clear()
    period = _period_cache[entitlement.anchor] = entitlement.period(at)
    return period


def requires_member_count(request: Request) -> bool:
    """Return whether the request names a feature whose value is the number of members."""
    # A loop instead of `any`, because a generator expression would add a tenth to the cost of a check.
    for item in request.items:  # noqa: SIM110
        if item.feature in DERIVED_FEATURES:
            return True
    return False
