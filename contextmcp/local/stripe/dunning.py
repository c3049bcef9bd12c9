"""What happens after a declined renewal: when it is tried again, and what is done with the subscription in the end."""

from typing import Any

from contextmcp.local.stripe.kinds import DAY
from contextmcp.local.stripe.store import Store

# Eight attempts within two weeks, then the subscription is canceled: the default of a Stripe account.
DEFAULT: dict[str, Any] = {"retries": [1, 3, 5, 7, 9, 11, 14], "final": "cancel"}
FINALS = ("cancel", "unpaid", "past_due")


def settings(store: Store) -> dict[str, Any]:
    chosen: dict[str, Any] = store.setting("dunning", DEFAULT)
    return chosen


def change(store: Store, retries: list[float] | None, final: str | None) -> dict[str, Any]:
    """Days after the first failure, in rising order; and the final action."""
    chosen = dict(settings(store))
    if retries is not None:
        chosen["retries"] = sorted(retries)
    if final is not None:
        if final not in FINALS:
            raise ValueError(f"final is one of {', '.join(FINALS)}")
        chosen["final"] = final
    with store.lock:
        store.set("dunning", chosen)
    return chosen


def next_attempt(store: Store, first_failure: int, attempts: int) -> int | None:
    """When to try again after so many failed attempts; None when there will be no other."""
    retries = settings(store)["retries"]
    return None if attempts > len(retries) else int(first_failure + retries[attempts - 1] * DAY)
