"""Meter events and meter totals."""

from typing import Any

from .client import call, pages


def report(*, event_name: str, customer_id: str, value: int, identifier: str, timestamp: int) -> dict[str, Any]:
    """Send a meter event of `value` units at `timestamp` (Unix seconds).

    Stripe deduplicates by `identifier` for at least 24 hours. The API requires the payload's values to be strings.
    """
    payload = {"stripe_customer_id": customer_id, "value": str(value)}
    return call(
        "post",
        "/v1/billing/meter_events",
        key=identifier,
        event_name=event_name,
        identifier=identifier,
        timestamp=timestamp,
        payload=payload,
    )


def total(meter_id: str, *, customer_id: str, start: int, end: int) -> int:
    """Return the meter's total for the customer between `start` and `end` (Unix seconds, aligned to minutes)."""
    path = f"/v1/billing/meters/{meter_id}/event_summaries"
    return int(sum(each["aggregated_value"] for each in pages(path, customer=customer_id, start_time=start, end_time=end)))
