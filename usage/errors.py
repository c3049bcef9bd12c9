"""Refusals of the usage API: one class per code, with its HTTP status and details."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_noop as _

from contextmcp.common.errors import Conflict, DomainError, IdempotencyConflict, TemporarilyUnavailable

__all__ = [
    "HoldAlreadyEnded",
    "IdempotencyConflict",
    "LimitReached",
    "OverageCapReached",
    "QuotaExceeded",
    "RateLimited",
    "Refusal",
    "ReleaseExceedsUsage",
    "TemporarilyUnavailable",
    "WebhookDeliveryPending",
    "WebhookDisabled",
    "WebhookEndpointLimitReached",
    "WebhookTestsPending",
]


class Refusal(DomainError):
    """Details: feature, amount, limit, used, remaining, resets_at and retry_after (where waiting helps), upgrade_url."""

    status = 429

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message, **details, upgrade_url=f"{settings.PUBLIC_URL}/pricing/")


class LimitReached(Refusal):
    """The gauge would exceed its limit. The request can succeed only after units are released or the plan changes."""

    code = "limit_reached"
    message = "This request exceeds your plan's limit for the feature. Release units that you no longer need, or upgrade."


class QuotaExceeded(Refusal):
    """The amount exceeds the remaining quota of the usage month, and no overage is enabled."""

    code = "quota_exceeded"
    message = "You have used all of your plan's quota for this period."


class OverageCapReached(Refusal):
    """The amount exceeds the remaining quota and the monthly overage cap. Additional details: cap_minor, currency."""

    code = "overage_cap_reached"
    message = "This request exceeds the remaining quota and the monthly overage cap."


class RateLimited(Refusal):
    """The rate limit of a sliding window is reached. Additional details: window_seconds, scope (`organization` or `key`)."""

    code = "rate_limited"
    message = "Rate limit exceeded. Retry later."


class HoldAlreadyEnded(Conflict):
    """The hold has already ended with another result than the requested one. Details: `state` (`settled` or `released`)."""

    code = "hold_already_ended"
    message = "This hold has already been settled or released."


class ReleaseExceedsUsage(Conflict):
    """The amount to release is greater than the amount in use. Details: feature, amount, used."""

    code = "release_exceeds_usage"
    message = "The amount to release is greater than the amount in use."


class WebhookEndpointLimitReached(Conflict):
    """The organization has `limit` webhook endpoints, which is the maximum. Details: `limit`."""

    code = "webhook_endpoint_limit_reached"
    message = _("This organization has the maximum number of webhook endpoints. Delete one that is no longer used.")


class WebhookDisabled(Conflict):
    """The operation needs an enabled webhook endpoint."""

    code = "webhook_endpoint_disabled"
    message = _("This endpoint is disabled. Enable it, then try again.")


class WebhookTestsPending(Conflict):
    """Too many test messages of this endpoint are pending."""

    code = "webhook_tests_pending"
    message = _("This endpoint already has pending test messages. Wait until they are delivered.")


class WebhookDeliveryPending(Conflict):
    """A delivery can be sent again only after it was delivered or has failed."""

    code = "webhook_delivery_pending"
    message = _("This message is still waiting to be delivered.")


def counters_locked() -> TemporarilyUnavailable:
    """Return the refusal of a call that waited too long for an organization's counters, which another transaction has locked."""
    return TemporarilyUnavailable("Another request is changing the same counters. Try again shortly.", retry_after=1)
