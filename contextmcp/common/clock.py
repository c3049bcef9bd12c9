"""The one clock. Whatever depends on time asks `now(organization)`."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class HasClock(Protocol):
    """An organization: how far its customer's Stripe test clock is ahead of real time (zero outside test mode)."""

    clock_offset: timedelta


def now(organization: HasClock | None = None) -> datetime:
    """The present, aware and in UTC, as `organization` sees it."""
    real = datetime.now(UTC)
    return real if organization is None else real + organization.clock_offset
