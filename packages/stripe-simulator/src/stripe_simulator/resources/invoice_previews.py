"""`create_preview`: apply the change, render its invoice and roll back. A preview therefore cannot differ from the change."""

import time
from typing import Any

from stripe_simulator import items
from stripe_simulator.cancellation import TERMINAL_STATUSES
from stripe_simulator.errors import Refusal, invalid
from stripe_simulator.render import already_rendered, view
from stripe_simulator.routes.match import route
from stripe_simulator.subscriptions import changes, creation, renewal, schedule_phases
from stripe_simulator.types import Obj, Params, new_id
from stripe_simulator.unit_of_work import Unit

CHANGES = ("items", "proration_behavior", "proration_date", "billing_cycle_anchor", "trial_end")


@route("POST", "/v1/invoices/create_preview")
def create_preview(unit: Unit, p: Params) -> Obj:
    unit.flush()
    unit.store.run("SAVEPOINT preview")
    try:
        preview = Unit(unit.store, unit.base_url)
        invoice = view(preview, _upcoming(preview, p))
    finally:
        unit.store.run("ROLLBACK TO preview")
        unit.store.run("RELEASE preview")
    return already_rendered(_as_preview(invoice))


def _upcoming(preview: Unit, p: Params) -> Obj:
    details = p.get("subscription_details") or {}
    schedule = preview.require("subscription_schedule", p["schedule"], "schedule") if p.get("schedule") else None
    id = p.get("subscription") or (schedule and schedule["subscription"])
    if not id:
        return _new_subscription(preview, p, details)
    subscription = preview.require("subscription", id, "subscription")
    if p.get("customer", subscription["customer"]) != subscription["customer"]:
        raise invalid(f"The subscription {id} does not belong to the customer {p['customer']}.", "subscription")
    if subscription["status"] in TERMINAL_STATUSES:
        raise _no_upcoming_invoice(subscription)
    before = subscription["latest_invoice"]
    changes_requested = {name: details[name] for name in CHANGES if name in details}
    if p.get("discounts") is not None:
        changes_requested["discounts"] = p["discounts"]
    if details.get("cancel_now"):
        invoice = renewal.final_invoice(preview, subscription, prorate=details.get("proration_behavior") != "none")
        return _require_upcoming(invoice, subscription)
    if details.get("cancel_at_period_end") is not None:
        changes_requested["cancel_at_period_end"] = details["cancel_at_period_end"]
    if changes_requested:
        changes.change(preview, subscription, {**changes_requested, "payment_behavior": "default_incomplete"})
        if subscription["latest_invoice"] != before:
            return preview.require("invoice", subscription["latest_invoice"])
    # The requested change replaces what a schedule would change.
    return _renewal(preview, subscription, scheduled="items" not in changes_requested)


def _renewal(preview: Unit, subscription: Obj, *, scheduled: bool = True) -> Obj:
    if subscription["status"] == "paused":
        raise _no_upcoming_invoice(subscription)
    preview.pretend = items.next_period_end(subscription)
    schedule = preview.get(subscription["schedule"] or "")
    if schedule is not None and scheduled:
        before = subscription["latest_invoice"]
        schedule_phases.advance(preview, schedule)
        if subscription["latest_invoice"] != before:  # a phase with another interval bills separately
            return preview.require("invoice", subscription["latest_invoice"])
    return _require_upcoming(renewal.renew(preview, subscription), subscription)


def _require_upcoming(invoice: Obj | None, subscription: Obj) -> Obj:
    if invoice is None:
        raise _no_upcoming_invoice(subscription)
    return invoice


def _no_upcoming_invoice(subscription: Obj) -> Refusal:
    message = f"No upcoming invoices for customer: {subscription['customer']}"
    return Refusal(message, status=404, code="invoice_upcoming_none", unsaved=True)


def _new_subscription(preview: Unit, p: Params, details: Params) -> Obj:
    customer = preview.require("customer", p.get("customer", ""), "customer")
    if not details.get("items"):
        running = [each for each in preview.find("subscription", customer=customer["id"]) if each["status"] not in TERMINAL_STATUSES]
        if len(running) != 1:
            raise invalid("You must pass one of `subscription`, `schedule` or `subscription_details[items]`.", "subscription")
        return _renewal(preview, running[0])
    params: dict[str, Any] = {name: details[name] for name in ("items", "trial_end", "billing_cycle_anchor") if name in details}
    subscription = creation.build(preview, customer, params | {"discounts": p.get("discounts") or []})
    return creation.first_invoice(preview, subscription, params)


def _as_preview(invoice: Obj) -> Obj:
    """Render a preview as a draft without a number, even if the change finalized the invoice."""
    invoice["id"] = f"upcoming_in_{new_id('x', 24)[2:]}"
    invoice |= {"status": "draft", "number": None, "hosted_invoice_url": None, "invoice_pdf": None, "attempted": False, "attempt_count": 0}
    invoice |= {"amount_paid": 0, "amount_remaining": invoice["amount_due"], "ending_balance": invoice["ending_balance"]}
    invoice |= {"automatically_finalizes_at": None, "effective_at": None, "auto_advance": False}
    invoice["status_transitions"] = dict.fromkeys(invoice["status_transitions"])
    invoice["created"] = min(invoice["created"], int(time.time())) if not invoice["test_clock"] else invoice["created"]
    for line in invoice["lines"]["data"]:
        line["id"] = line["id"].replace("il_", "il_tmp_", 1)
        line["invoice"] = invoice["id"]
    return invoice
