"""Reports to Stripe's meters."""

from typing import Any

from .client import ask, pages


def report(*, event_name: str, customer_id: str, value: int, identifier: str, timestamp: int) -> dict[str, Any]:
    """Values are strings in this call. The identifier keeps a repeat from counting for 24 hours at least."""
    payload = {"stripe_customer_id": customer_id, "value": str(value)}
    return ask(
        "post",
        "/v1/billing/meter_events",
        key=identifier,
        event_name=event_name,
        identifier=identifier,
        timestamp=timestamp,
        payload=payload,
    )


def total(meter_id: str, *, customer_id: str, start: int, end: int) -> int:
    """What the meter has for the customer between two moments (Unix seconds, whole minutes)."""
    path = f"/v1/billing/meters/{meter_id}/event_summaries"
    return int(sum(each["aggregated_value"] for each in pages(path, customer=customer_id, start_time=start, end_time=end)))
