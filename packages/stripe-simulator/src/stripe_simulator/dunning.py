"""Retries of declined renewals: when an invoice is retried, and what happens to the subscription after the last attempt."""

from typing import Any

from stripe_simulator import jobs
from stripe_simulator.store import Store
from stripe_simulator.types import DAY, Obj
from stripe_simulator.unit_of_work import Unit

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


def count_attempt(invoice: Obj) -> bool:
    """Count an attempt to pay an invoice, if it is the first one or an automatic retry. Return whether it was counted.

    See https://docs.stripe.com/api/invoices/object#invoice_object-attempt_count.
    """
    counts = bool(invoice.pop("_retrying", False)) or invoice["attempt_count"] == 0
    invoice["attempt_count"] += counts
    return counts


def record_failure(unit: Unit, invoice: Obj) -> None:
    """Count a failed attempt and schedule the next retry. A manual attempt leaves the time of the next retry as it is."""
    now = unit.now(invoice)
    first = invoice.setdefault("_first_failure", now)
    if count_attempt(invoice):
        retries = invoice["auto_advance"] and not invoice.get("_postpones")
        retries = retries and invoice["billing_reason"] not in ("subscription_create", "manual")
        invoice["next_payment_attempt"] = next_attempt(unit.store, first, invoice["attempt_count"]) if retries else None
    unit.save(invoice)
    if again := invoice["next_payment_attempt"]:
        jobs.schedule(unit, "retry", invoice, max(again, now))
