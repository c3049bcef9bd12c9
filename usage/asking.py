"""From a request and what the plan allows to what must be taken. Refuses at once what no counting can grant."""

from datetime import datetime, timedelta

from contextmcp.common.ids import uuid7
from entitlements.periods import Period
from entitlements.types import Allowance, Entitlements, Kind

from . import digests
from .requests import Request, invalid
from .types import Ask, Flag, HoldFor, Item, Level, Part, Quota, Rate, Who

# Counted from rows of ours; nobody states, takes or gives them back.
COUNTED = frozenset({"team_members"})


def ask(
    who: Who,
    entitlements: Entitlements,
    request: Request,
    *,
    at: datetime,
    real: datetime,
    key: str | None = None,
    members: int = 0,
) -> Ask:
    """`at` is the organization's time, `real` everybody's. Raises FeatureNotAvailable, UnknownFeature, PlanInactive, PaymentRequired."""
    parts = [part(entitlements.require(item.feature), item, at=at, members=members) for item in request.items]
    hold = None
    if request.hold_seconds is not None:
        if not isinstance(parts[0], Quota):
            raise invalid("hold", "Only what is counted by the month can be held.")
        hold = HoldFor(uuid7(), real + timedelta(seconds=request.hold_seconds))
    if key is None:
        return Ask(who, at, parts, request.single, b"", None, hold)
    said = [(item.feature, item.amount) for item in request.items]
    fingerprint = digests.of_request(said, "" if hold is None else "\nhold")
    return Ask(who, at, parts, request.single, fingerprint, digests.of_key(key), hold)


def part(allowance: Allowance, item: Item, *, at: datetime, members: int = 0) -> Part:
    match allowance.kind:
        case Kind.QUOTA:
            return Quota(item.feature, item.amount, allowance, period_of(allowance, at))
        case Kind.LIMIT:
            counted = members if item.feature in COUNTED else None
            return Level(item.feature, item.amount, allowance.limit, counted, allowance.on_outage)
        case Kind.RATE:
            return Rate(item.feature, item.amount, allowance.limit, allowance.on_outage)
    return Flag(item.feature, item.amount)


_periods: dict[datetime, Period] = {}
_MOST = 100_000


def period_of(allowance: Allowance, at: datetime) -> Period:
    """The allowance's period at that moment. Most calls fall into the same one as the call before."""
    known = _periods.get(allowance.anchor)
    if known is not None and known.start <= at < known.end:
        return known
    if len(_periods) >= _MOST:
        _periods.clear()
    found = _periods[allowance.anchor] = allowance.period(at)
    return found


def needs_members(request: Request) -> bool:
    return any(item.feature in COUNTED for item in request.items)
