"""`create_preview`: the very change is made, its invoice is shown, and everything is taken back. So a preview cannot differ."""

import time
from typing import Any

from contextmcp.local.stripe import items
from contextmcp.local.stripe.ending import OVER
from contextmcp.local.stripe.errors import Refusal, invalid
from contextmcp.local.stripe.kinds import Obj, Params, new_id
from contextmcp.local.stripe.life import change, phases, roll, start
from contextmcp.local.stripe.render import shown, view
from contextmcp.local.stripe.routes.match import answers
from contextmcp.local.stripe.unit import Unit

CHANGES = ("items", "proration_behavior", "proration_date", "billing_cycle_anchor", "trial_end")


@answers("POST", "/v1/invoices/create_preview")
def create_preview(unit: Unit, p: Params) -> Obj:
    unit.flush()
    unit.store.run("SAVEPOINT preview")
    try:
        look = Unit(unit.store, unit.base_url)
        invoice = view(look, _upcoming(look, p))
    finally:
        unit.store.run("ROLLBACK TO preview")
        unit.store.run("RELEASE preview")
    return shown(_as_preview(invoice))


def _upcoming(look: Unit, p: Params) -> Obj:
    details = p.get("subscription_details") or {}
    schedule = look.need("subscription_schedule", p["schedule"], "schedule") if p.get("schedule") else None
    id = p.get("subscription") or (schedule and schedule["subscription"])
    if not id:
        return _of_a_new_one(look, p, details)
    subscription = look.need("subscription", id, "subscription")
    if p.get("customer", subscription["customer"]) != subscription["customer"]:
        raise invalid(f"The subscription {id} does not belong to the customer {p['customer']}.", "subscription")
    if subscription["status"] in OVER:
        raise _none(subscription)
    before = subscription["latest_invoice"]
    wanted = {name: details[name] for name in CHANGES if name in details}
    if p.get("discounts") is not None:
        wanted["discounts"] = p["discounts"]
    if details.get("cancel_now"):
        invoice = roll.final_invoice(look, subscription, prorate=details.get("proration_behavior") != "none")
        return _given(invoice, subscription)
    if details.get("cancel_at_period_end") is not None:
        wanted["cancel_at_period_end"] = details["cancel_at_period_end"]
    if wanted:
        change.change(look, subscription, {**wanted, "payment_behavior": "default_incomplete"})
        if subscription["latest_invoice"] != before:
            return look.need("invoice", subscription["latest_invoice"])
    return _renewal(look, subscription)


def _renewal(look: Unit, subscription: Obj) -> Obj:
    if subscription["status"] == "paused":
        raise _none(subscription)
    look.pretend = items.next_end(subscription)
    schedule = look.get(subscription["schedule"] or "")
    if schedule is not None:
        before = subscription["latest_invoice"]
        phases.advance(look, schedule)
        if subscription["latest_invoice"] != before:  # a phase with another interval bills by itself
            return look.need("invoice", subscription["latest_invoice"])
    return _given(roll.roll(look, subscription), subscription)


def _given(invoice: Obj | None, subscription: Obj) -> Obj:
    if invoice is None:
        raise _none(subscription)
    return invoice


def _none(subscription: Obj) -> Refusal:
    message = f"No upcoming invoices for customer: {subscription['customer']}"
    return Refusal(message, status=404, code="invoice_upcoming_none", unsaved=True)


def _of_a_new_one(look: Unit, p: Params, details: Params) -> Obj:
    customer = look.need("customer", p.get("customer", ""), "customer")
    if not details.get("items"):
        running = [each for each in look.find("subscription", customer=customer["id"]) if each["status"] not in OVER]
        if len(running) != 1:
            raise invalid("You must pass one of `subscription`, `schedule` or `subscription_details[items]`.", "subscription")
        return _renewal(look, running[0])
    given: dict[str, Any] = {name: details[name] for name in ("items", "trial_end", "billing_cycle_anchor") if name in details}
    subscription = start.make(look, customer, given | {"discounts": p.get("discounts") or []})
    return start.first_invoice(look, subscription, given)


def _as_preview(invoice: Obj) -> Obj:
    """A preview is a draft without a number, whatever the change made of it."""
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
