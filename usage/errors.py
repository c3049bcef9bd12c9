"""Why something was not counted."""

from typing import Any

from django.conf import settings

from contextmcp.common.errors import Conflict, DomainError, IdempotencyConflict, TemporarilyUnavailable

__all__ = [
    "CorrectionExceedsUsage",
    "IdempotencyConflict",
    "LimitReached",
    "OverageCapReached",
    "QuotaExceeded",
    "RateLimited",
    "Refusal",
    "TemporarilyUnavailable",
]


class Refusal(DomainError):
    """Details: feature, amount, limit, used, remaining, resets_at and retry_after (where waiting helps), upgrade_url."""

    status = 429

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message, **details, upgrade_url=f"{settings.PUBLIC_URL}/pricing/")


class LimitReached(Refusal):
    """A level is full. Waiting does not help; giving back or another plan does."""

    code = "limit_reached"
    message = "Your plan allows no more of these at a time."


class QuotaExceeded(Refusal):
    code = "quota_exceeded"
    message = "You have used everything your plan includes this period."


class CorrectionExceedsUsage(Conflict):
    """A correction may take back what was counted in its period, and no more. Details: feature, amount, used."""

    code = "correction_exceeds_usage"
    message = "This correction takes back more than was counted in its period."


class OverageCapReached(Refusal):
    """Details also: cap_minor, currency."""

    code = "overage_cap_reached"
    message = "What is left of your plan, and of what you set aside for use beyond it, does not cover this."


class RateLimited(Refusal):
    """Details also: window_seconds, scope (organization or key)."""

    code = "rate_limited"
    message = "Too many of these within a minute."
