"""Stripe's list of events, to find events whose webhook was not delivered."""

from collections.abc import Iterator
from typing import Any

from .client import pages


def since(moment: int) -> Iterator[dict[str, Any]]:
    """Yield every event since `moment` (Unix timestamp in seconds), newest first. Stripe keeps events for 30 days."""
    return pages("/v1/events", created={"gte": moment})
