"""The effect of a paid or unpaid invoice on its subscription."""

from stripe_simulator import cancellation, dunning, items, jobs
from stripe_simulator.events import emit, updated
from stripe_simulator.types import Obj
from stripe_simulator.unit_of_work import Unit


def on_invoice_paid(unit: Unit, invoice: Obj) -> None:
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is None or subscription["status"] in cancellation.TERMINAL_STATUSES:
        return
    if _waits_for(subscription, invoice):
        subscription.update(subscription.pop("_pending")["fields"])
        subscription["pending_update"] = None
        jobs.cancel(unit, subscription, "pending_update_expiry")
        jobs.schedule(unit, "period_roll", subscription, items.next_period_end(subscription))
        unit.save(subscription)
        emit(unit, "customer.subscription.pending_update_applied", subscription)
    if subscription["status"] == "incomplete":
        jobs.cancel(unit, subscription, "expire_incomplete")
        subscription["status"] = "active"
    elif subscription["status"] in ("past_due", "unpaid"):
        latest = _reactivating_invoice(unit, subscription)
        if latest is None or latest["id"] == invoice["id"] or latest["status"] in ("paid", "void"):
            subscription["status"] = "active"
    updated(unit, subscription, "customer.subscription")


def _reactivating_invoice(unit: Unit, subscription: Obj) -> Obj | None:
    """Return the invoice whose payment makes the subscription active again.

    If the subscription is past due, this is the latest finalized invoice; drafts of renewals are ignored. If it is unpaid, this is the most
    recent invoice, which may be a draft that has to be finalized first (https://docs.stripe.com/billing/subscriptions/overview#unpaid).
    """
    latest = unit.get(subscription["latest_invoice"] or "")
    if subscription["status"] == "unpaid" or latest is None or latest["status"] != "draft":
        return latest
    return next((each for each in unit.find("invoice", parent=subscription["id"]) if each["status"] != "draft"), None)


def on_payment_failed(unit: Unit, invoice: Obj) -> None:
    """Make the subscription past due at the first failure, and apply the final action of the dunning settings after the last one."""
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is None or subscription["status"] in cancellation.TERMINAL_STATUSES or subscription["status"] == "incomplete":
        return
    if invoice.get("_postpones"):
        return  # What was paid for continues. Only the change is pending.
    if invoice["_subscription"] and invoice["next_payment_attempt"] is None and invoice["attempt_count"] > 1:
        final = dunning.settings(unit.store)["final"]
        if final == "cancel":
            cancellation.cancel_now(unit, subscription, reason="payment_failed")
            return
        subscription["status"] = final if final == "unpaid" else "past_due"
    elif subscription["status"] in ("active", "trialing"):
        subscription["status"] = "past_due"
    updated(unit, subscription, "customer.subscription")


def on_invoice_closed(unit: Unit, invoice: Obj) -> None:
    """Update the subscription after its invoice was voided or marked as uncollectible.

    If it is the first invoice of an incomplete subscription, the subscription expires. If it belongs to a pending update, the update is
    discarded. Otherwise the invoice no longer keeps the subscription past due or unpaid.
    """
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is not None and subscription["status"] == "incomplete":
        cancellation.expire(unit, subscription)
    elif subscription is not None and _waits_for(subscription, invoice):
        subscription.pop("_pending")
        subscription["pending_update"] = None
        jobs.cancel(unit, subscription, "pending_update_expiry")
        updated(unit, subscription, "customer.subscription")
    elif not invoice.get("_postpones"):
        on_invoice_paid(unit, invoice)


def _waits_for(subscription: Obj, invoice: Obj) -> bool:
    """Return whether a pending update of the subscription waits for this invoice."""
    return bool((subscription.get("_pending") or {}).get("invoice") == invoice["id"])
