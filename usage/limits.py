"""How much is left, and why not more: for each kind of feature, given what stands there."""

from datetime import datetime
from typing import Any

from contextmcp.common.errors import DomainError, until

from .errors import LimitReached, OverageCapReached, QuotaExceeded
from .rows import Counter
from .types import Flag, ItemAnswer, Kind, Level, Quota, Rate


def still_answer(part: Rate | Flag) -> ItemAnswer:
    """Of what Postgres has no say in: the rate was taken before, a flag is there."""
    if isinstance(part, Flag):
        return ItemAnswer(part.feature, Kind.FLAG, part.amount)
    remaining = None if part.limit is None or part.used is None else max(0, part.limit - part.used)
    return ItemAnswer(part.feature, Kind.RATE, part.amount, part.used, part.limit, remaining, 0, part.resets_at)


def quota_answer(part: Quota, counter: Counter, at: datetime) -> ItemAnswer | DomainError:
    """What it will be when `amount` more is taken, or why it may not be."""
    limit = part.allowance.limit
    # A correction may have taken more off a period than was in it; that is no extra allowance.
    before = max(counter.used, 0) + counter.held
    total = before + part.amount
    resets = part.period.end
    if limit is None:
        return ItemAnswer(part.feature, Kind.QUOTA, part.amount, total, None, None, 0, resets)
    if total <= limit:
        return ItemAnswer(part.feature, Kind.QUOTA, part.amount, total, limit, limit - total, 0, resets)
    left = max(0, limit - before)
    told: dict[str, Any] = {
        "feature": part.feature,
        "amount": part.amount,
        "limit": limit,
        "used": before,
        "remaining": left,
        "resets_at": resets,
    }
    # More than the limit at once does not fit into any period: waiting does not help.
    if part.amount <= limit:
        told["retry_after"] = until(resets, at)
    sold = units_sold(part.allowance.overage_unit_amount, part.allowance.overage_currency, counter)
    if sold is None:
        return QuotaExceeded(f"You asked for {part.amount}, and {left} of {limit} are left this period." if left else None, **told)
    if total > limit + sold:
        return OverageCapReached(**told, cap_minor=counter.cap_minor, currency=counter.currency)
    return ItemAnswer(part.feature, Kind.QUOTA, part.amount, total, limit, 0, total - limit, resets)


def units_sold(unit_amount: int | None, currency: str | None, counter: Counter) -> int | None:
    """How many units beyond the limit the organization agreed to pay for; None where there is no such agreement."""
    if counter.cap_minor is None or not unit_amount or currency != counter.currency:
        return None
    return counter.cap_minor // unit_amount


def level_answer(part: Level, value: int) -> ItemAnswer | DomainError:
    total = value + part.amount
    if part.limit is not None and total > part.limit:
        left = max(0, part.limit - value)
        return LimitReached(feature=part.feature, amount=part.amount, limit=part.limit, used=value, remaining=left)
    return level_standing(part.feature, part.amount, total, part.limit)


def level_standing(feature: str, amount: int, value: int, limit: int | None) -> ItemAnswer:
    if limit is None:
        return ItemAnswer(feature, Kind.LIMIT, amount, value)
    return ItemAnswer(feature, Kind.LIMIT, amount, value, limit, max(0, limit - value), max(0, value - limit))
