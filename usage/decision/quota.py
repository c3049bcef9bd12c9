"""Evaluate a line item against a counter or gauge value. Pure functions."""

from datetime import datetime
from typing import Any

from contextmcp.common.errors import DomainError, until
from usage.errors import LimitReached, OverageCapReached, QuotaExceeded
from usage.types import Flag, Gauge, ItemResult, Kind, Quota, Rate

from .rows import Counter


def stateless_result(item: Rate | Flag) -> ItemResult:
    """Return the result of an item without a row in PostgreSQL: a rate that was already acquired, or a flag."""
    if isinstance(item, Flag):
        return ItemResult(item.feature, Kind.BOOLEAN, item.amount)
    remaining = None if item.limit is None or item.used is None else max(0, item.limit - item.used)
    return ItemResult(item.feature, Kind.RATE_LIMIT, item.amount, item.used, item.limit, remaining, 0, item.resets_at)


def evaluate_quota(item: Quota, counter: Counter, at: datetime) -> ItemResult | DomainError:
    """Return the result after adding the item's amount to the counter, or the refusal. `at` is the organization's time."""
    limit = None if item.entitlement.limit is None else item.entitlement.limit + counter.credited
    before = counter.used + counter.held
    total = before + item.amount
    resets_at = item.period.end
    if limit is None:
        return ItemResult(item.feature, Kind.QUOTA, item.amount, total, None, None, 0, resets_at)
    if total <= limit:
        return ItemResult(item.feature, Kind.QUOTA, item.amount, total, limit, limit - total, 0, resets_at)
    remaining = max(0, limit - before)
    details: dict[str, Any] = {
        "feature": item.feature,
        "amount": item.amount,
        "limit": limit,
        "used": before,
        "remaining": remaining,
        "resets_at": resets_at,
    }
    # An amount above the limit exceeds the quota of every period, so `retry_after` would be misleading.
    if item.amount <= limit:
        details["retry_after"] = until(resets_at, at)
    purchasable = purchasable_units(item.entitlement.overage_unit_amount, item.entitlement.overage_currency, counter)
    if purchasable is None:
        return QuotaExceeded(
            f"You requested {item.amount}, but only {remaining} of {limit} are left in this period." if remaining else None, **details
        )
    if total > limit + purchasable:
        return OverageCapReached(**details, cap_minor=counter.cap_minor, currency=counter.currency)
    return ItemResult(item.feature, Kind.QUOTA, item.amount, total, limit, 0, total - limit, resets_at)


def purchasable_units(unit_amount: int | None, currency: str | None, counter: Counter) -> int | None:
    """Return how many units of overage the cap allows, or None if overage is not enabled or not sold in the cap's currency."""
    if counter.cap_minor is None or not unit_amount or currency != counter.currency:
        return None
    return counter.cap_minor // unit_amount


def evaluate_gauge(item: Gauge, value: int) -> ItemResult | DomainError:
    """Return the result of increasing a gauge from `value` by the item's amount, or the refusal."""
    total = value + item.amount
    if item.limit is not None and total > item.limit:
        remaining = max(0, item.limit - value)
        return LimitReached(feature=item.feature, amount=item.amount, limit=item.limit, used=value, remaining=remaining)
    return gauge_result(item.feature, item.amount, total, item.limit)


def gauge_result(feature: str, amount: int, value: int, limit: int | None) -> ItemResult:
    """Return the result for a gauge that now has `value` units in use. A `limit` of None means unlimited."""
    if limit is None:
        return ItemResult(feature, Kind.GAUGE, amount, value)
    return ItemResult(feature, Kind.GAUGE, amount, value, limit, max(0, limit - value), max(0, value - limit))
