"""Retries of declined renewals: when an invoice is retried, and what happens to the subscription after the last attempt."""

from typing import Any

from stripe_simulator.store import Store
from stripe_simulator.types import DAY

# Default of a Stripe account: eight attempts within two weeks, then the subscription is canceled.
DEFAULT: dict[str, Any] = {"retries": [1, 3, 5, 7, 9, 11, 14], "final": "cancel"}
FINAL_ACTIONS = ("cancel", "unpaid", "past_due")


def settings(store: Store) -> dict[str, Any]:
    current: dict[str, Any] = store.setting("dunning", DEFAULT)
    return current


def configure(store: Store, retries: list[float] | None, final: str | None) -> dict[str, Any]:
    """Set the retries, in days after the first failure in ascending order, and the final action."""
    current = dict(settings(store))
    if retries is not None:
        current["retries"] = sorted(retries)
    if final is not None:
        if final not in FINAL_ACTIONS:
            raise ValueError(f"final must be one of {', '.join(FINAL_ACTIONS)}")
        current["final"] = final
    with store.lock:
        store.set("dunning", current)
    return current


def next_attempt(store: Store, first_failure: int, attempts: int) -> int | None:
    """Return the time of the next attempt after this number of failed attempts, or None after the last one."""
    retries = settings(store)["retries"]
    return None if attempts > len(retries) else int(first_failure + retries[attempts - 1] * DAY)
