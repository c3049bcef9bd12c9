"""`payment_behavior=pending_if_incomplete`: a change that waits for its invoice to be paid."""

import copy

from contextmcp.local.stripe import collecting, items, jobs
from contextmcp.local.stripe.events import emit
from contextmcp.local.stripe.kinds import HOUR, Obj
from contextmcp.local.stripe.unit import Unit


def postpone(unit: Unit, subscription: Obj, before: Obj, invoice: Obj) -> None:
    """Keep the old state until the invoice is paid; after 23 hours the change is off."""
    names = ("_items", "billing_cycle_anchor", "trial_end", "status")
    wanted = {name: copy.deepcopy(subscription[name]) for name in names if name != "status"}
    expires = unit.now(subscription) + 23 * HOUR
    for name in names:
        subscription[name] = before[name]
    subscription["_pending"] = {"fields": wanted, "invoice": invoice["id"]}
    subscription["pending_update"] = {
        "billing_cycle_anchor": wanted["billing_cycle_anchor"]
        if wanted["billing_cycle_anchor"] != before["billing_cycle_anchor"]
        else None,
        "expires_at": expires,
        "subscription_items": [items.item_view(unit, item) for item in wanted["_items"]],
        "trial_end": None,
        "trial_from_plan": None,
    }
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    jobs.cancel(unit, invoice, "retry")
    unit.save(invoice)
    jobs.schedule(unit, "pending_update_expiry", subscription, expires)


@jobs.does("pending_update_expiry")
def _expire_update(unit: Unit, subscription: Obj) -> None:
    pending = subscription.pop("_pending", None)
    subscription["pending_update"] = None
    unit.save(subscription)
    invoice = unit.get((pending or {}).get("invoice") or "")
    if invoice is not None and invoice["status"] == "open":
        collecting.close(unit, invoice, "void")
    emit(unit, "customer.subscription.pending_update_expired", subscription)
