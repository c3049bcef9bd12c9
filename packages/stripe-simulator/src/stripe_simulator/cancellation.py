"""Cancel subscriptions: immediately, at the period end, or because a payment failed."""

from stripe_simulator import jobs
from stripe_simulator.events import emit, updated
from stripe_simulator.types import Obj, id_of
from stripe_simulator.unit_of_work import Unit

TERMINAL_STATUSES = {"canceled", "incomplete_expired"}


def cancel_now(unit: Unit, subscription: Obj, *, reason: str | None = "cancellation_requested") -> None:
    """Cancel the subscription immediately. Its open invoices stay open, but are no longer collected automatically."""
    now = unit.now(subscription)
    jobs.cancel(unit, subscription)
    for invoice in unit.find("invoice", parent=subscription["id"]):
        if invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
            jobs.cancel(unit, invoice, "retry", *(("finalize",) if reason == "payment_failed" else ()))
            if invoice["status"] == "open":
                invoice["auto_advance"] = False
                invoice["next_payment_attempt"] = None
                updated(unit, invoice)
    subscription["status"] = "canceled"
    subscription["ended_at"] = now
    subscription["canceled_at"] = subscription["canceled_at"] or now
    subscription["discounts"] = []
    subscription["cancellation_details"] = {**(subscription["cancellation_details"] or {"comment": None, "feedback": None})}
    subscription["cancellation_details"]["reason"] = subscription["cancellation_details"].get("reason") or reason
    unit.save(subscription)
    if schedule := unit.get(id_of(subscription["schedule"]) or ""):
        jobs.cancel(unit, schedule)
        schedule["status"] = "canceled"
        schedule["canceled_at"] = now
        schedule["current_phase"] = None
        unit.save(schedule)
        emit(unit, f"subscription_schedule.{'aborted' if reason == 'payment_failed' else 'canceled'}", schedule)
    emit(unit, "customer.subscription.deleted", subscription)


def expire(unit: Unit, subscription: Obj) -> None:
    """Expire an incomplete subscription whose first payment did not succeed within 23 hours."""
    jobs.cancel(unit, subscription)
    subscription["status"] = "incomplete_expired"
    subscription["ended_at"] = unit.now(subscription)
    updated(unit, subscription, "customer.subscription")
