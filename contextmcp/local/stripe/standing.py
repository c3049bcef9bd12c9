"""What a paid or unpaid invoice makes of its subscription."""

from contextmcp.local.stripe import dunning, ending, items, jobs
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj
from contextmcp.local.stripe.unit import Unit


def paid(unit: Unit, invoice: Obj) -> None:
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is None or subscription["status"] in ending.OVER:
        return
    if subscription["pending_update"] and subscription.get("_pending", {}).get("invoice") == invoice["id"]:
        subscription.update(subscription.pop("_pending")["fields"])
        subscription["pending_update"] = None
        jobs.cancel(unit, subscription, "pending_update_expiry")
        jobs.schedule(unit, "period_roll", subscription, items.next_end(subscription))
        unit.save(subscription)
        emit(unit, "customer.subscription.pending_update_applied", subscription)
    if subscription["status"] == "incomplete":
        jobs.cancel(unit, subscription, "expire_incomplete")
        subscription["status"] = "active"
    elif subscription["status"] in ("past_due", "unpaid"):
        latest = unit.get(subscription["latest_invoice"] or "")
        if latest is None or latest["id"] == invoice["id"] or latest["status"] in ("paid", "void", "draft"):
            subscription["status"] = "active"
    updated(unit, subscription, "customer.subscription")


def failed(unit: Unit, invoice: Obj) -> None:
    """Past due at the first failure; at the last one, what the account's settings say."""
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is None or subscription["status"] in ending.OVER or subscription["status"] == "incomplete":
        return
    if invoice["_subscription"] and invoice["next_payment_attempt"] is None and invoice["attempt_count"] > 1:
        final = dunning.settings(unit.store)["final"]
        if final == "cancel":
            ending.end(unit, subscription, reason="payment_failed")
            return
        subscription["status"] = final if final == "unpaid" else "past_due"
    elif subscription["status"] in ("active", "trialing"):
        subscription["status"] = "past_due"
    updated(unit, subscription, "customer.subscription")


def closed(unit: Unit, invoice: Obj) -> None:
    """A first invoice that is void ends its subscription; any other is no longer in the way."""
    subscription = unit.get(invoice["_subscription"] or "")
    if subscription is not None and subscription["status"] == "incomplete":
        ending.expire(unit, subscription)
    else:
        paid(unit, invoice)
