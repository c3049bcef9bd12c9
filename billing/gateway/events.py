"""Events at Stripe, for those that never reached us."""

from collections.abc import Iterator
from typing import Any

from .client import pages


def since(moment: int) -> Iterator[dict[str, Any]]:
    """Every event from `moment` (Unix seconds) on, newest first. Stripe keeps 30 days."""
    return pages("/v1/events", created={"gte": moment})
