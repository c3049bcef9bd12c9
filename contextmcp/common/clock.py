"""The clock. All code that depends on time calls `now(organization)`."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class HasClock(Protocol):
    """An organization. `clock_offset` is the lead of its Stripe test clock over real time (zero outside test mode)."""

    clock_offset: timedelta


def now(organization: HasClock | None = None) -> datetime:
    """Return the current time in UTC (aware), shifted by the organization's test clock."""
    real = datetime.now(UTC)
    return real if organization is None else real + organization.clock_offset
