"""`payment_behavior=pending_if_incomplete`: updates that apply when their invoice is paid.

See https://docs.stripe.com/billing/subscriptions/pending-updates.
"""

import copy

from stripe_simulator import invoice_collection, items, jobs
from stripe_simulator.errors import invalid
from stripe_simulator.events import emit, updated
from stripe_simulator.types import HOUR, Obj, Params
from stripe_simulator.unit_of_work import Unit

LIFETIME = 23 * HOUR
# The only attributes that such an update may contain, from Stripe's guide to pending updates.
SUPPORTED = {
    "add_invoice_items",
    "billing_cycle_anchor",
    "discounts",
    "items",
    "metadata",
    "off_session",
    "payment_behavior",
    "proration_behavior",
    "proration_date",
    "trial_end",
    "trial_from_plan",
}
SUPPORTED_OF_ITEMS = {"discounts", "id", "price", "quantity"}


def check(subscription: Obj, params: Params) -> None:
    """Refuse what Stripe does not support in pending updates: other attributes, removed items, and `send_invoice`."""
    if subscription["collection_method"] == "send_invoice":
        raise invalid("Pending updates are not supported when `collection_method` is `send_invoice`.", "payment_behavior")
    names = set(params) - SUPPORTED
    names |= {f"items[{name}]" for row in params.get("items") or [] for name in set(row) - SUPPORTED_OF_ITEMS}
    if names:
        message = f"When `payment_behavior` is `pending_if_incomplete`, you can only pass supported attributes. Unsupported: {min(names)}."
        raise invalid(message, "payment_behavior")


def postpone(unit: Unit, subscription: Obj, before: Obj, invoice: Obj) -> None:
    """Undo the update and store it as pending until its invoice is paid. It expires after 23 hours, or with the trial or period."""
    names = ("_items", "billing_cycle_anchor", "trial_end", "status")
    new_values = {name: copy.deepcopy(subscription[name]) for name in names if name != "status"}
    for name in names:
        subscription[name] = before[name]
    ends = [unit.now(subscription) + LIFETIME, items.next_period_end(subscription), *filter(None, [subscription["trial_end"]])]
    expires = min(ends)
    subscription["_pending"] = {"fields": new_values, "invoice": invoice["id"]}
    subscription["pending_update"] = {
        "billing_cycle_anchor": new_values["billing_cycle_anchor"]
        if new_values["billing_cycle_anchor"] != before["billing_cycle_anchor"]
        else None,
        "expires_at": expires,
        "subscription_items": [items.item_view(unit, item) for item in new_values["_items"]],
        "trial_end": None,
        "trial_from_plan": None,
    }
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    jobs.cancel(unit, invoice, "retry")
    unit.save(invoice)
    jobs.schedule(unit, "period_roll", subscription, items.next_period_end(subscription))
    jobs.schedule(unit, "pending_update_expiry", subscription, expires)


def discard(unit: Unit, subscription: Obj) -> Obj | None:
    """Remove the update from the subscription. Return its invoice if that is still open. The caller emits the event."""
    pending = subscription.pop("_pending", None)
    if pending is None:
        return None
    subscription["pending_update"] = None
    jobs.cancel(unit, subscription, "pending_update_expiry")
    unit.save(subscription)
    invoice = unit.get(pending["invoice"])
    return invoice if invoice is not None and invoice["status"] == "open" else None


def replace(unit: Unit, subscription: Obj) -> None:
    """Discard the pending update and void its invoice, because another change replaces it."""
    if invoice := discard(unit, subscription):
        invoice_collection.close(unit, invoice, "void")


def expire(unit: Unit, subscription: Obj) -> None:
    """Expire the update after its lifetime, or when a schedule enters its next phase."""
    if subscription.get("_pending") is None:
        return
    replace(unit, subscription)
    updated(unit, subscription, "customer.subscription")
    emit(unit, "customer.subscription.pending_update_expired", subscription)


@jobs.handles("pending_update_expiry")
def _expire_update(unit: Unit, subscription: Obj) -> None:
    expire(unit, subscription)
