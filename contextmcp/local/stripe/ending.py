"""The end of a subscription: at once, at its period's end, or because nobody paid."""

from contextmcp.local.stripe import jobs
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj, ident
from contextmcp.local.stripe.unit import Unit

OVER = {"canceled", "incomplete_expired"}


def end(unit: Unit, subscription: Obj, *, reason: str | None = "cancellation_requested") -> None:
    """Cancel for good. What is owed stays open, but nothing of it is tried again by itself."""
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
    if schedule := unit.get(ident(subscription["schedule"]) or ""):
        jobs.cancel(unit, schedule)
        schedule["status"] = "canceled"
        schedule["canceled_at"] = now
        schedule["current_phase"] = None
        unit.save(schedule)
        emit(unit, f"subscription_schedule.{'aborted' if reason == 'payment_failed' else 'canceled'}", schedule)
    emit(unit, "customer.subscription.deleted", subscription)


def expire(unit: Unit, subscription: Obj) -> None:
    """A first payment that never came: 23 hours after the start."""
    jobs.cancel(unit, subscription)
    subscription["status"] = "incomplete_expired"
    subscription["ended_at"] = unit.now(subscription)
    updated(unit, subscription, "customer.subscription")
