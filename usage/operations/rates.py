"""Acquire and release the rate limits of a call in Valkey."""

from datetime import datetime

from usage.authorize import rate_limit
from usage.authorize.rate_limit import RatePermit
from usage.types import Rate, UsageSubject

from .effects import CacheUnreachable, EvalScript, Operation


def acquire_rates(subject: UsageSubject, rates: list[Rate], at: datetime, *, peek: bool = False) -> Operation[RatePermit | None]:
    """Consume from every window or from none. With `peek` nothing is consumed.

    Returns None if the call has no limited rate, or if Valkey is unreachable and every feature fails open. Raises `RateLimited`, or
    `TemporarilyUnavailable` if Valkey is unreachable and a feature fails closed.
    """
    windows = rate_limit.windows(subject, rates)
    if not windows:
        return None
    keys, arguments = rate_limit.script_args(windows, peek=peek)
    try:
        reply = yield EvalScript(rate_limit.ACQUIRE_SCRIPT, keys, arguments)
    except CacheUnreachable:
        rate_limit.on_unavailable(windows)
        return None
    return rate_limit.parse_reply(windows, reply, at)


def release_rates(permit: RatePermit | None) -> Operation[None]:
    """Give the consumed units back, because the call was refused for another reason. Does nothing if Valkey is unreachable."""
    if permit is None:
        return
    try:
        yield EvalScript(rate_limit.RELEASE_SCRIPT, [window.name for window in permit.windows], rate_limit.release_args(permit))
    except CacheUnreachable:
        return
