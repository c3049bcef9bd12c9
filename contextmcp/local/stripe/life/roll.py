"""The end of a period: the next one begins, what was used is billed, and a trial or a subscription may be over."""

from contextmcp.local.stripe import collecting, ending, invoicing, items, jobs, pricing, proration
from contextmcp.local.stripe.events import emit, updated
from contextmcp.local.stripe.kinds import Obj, ident
from contextmcp.local.stripe.unit import Unit


@jobs.does("cancel_at")
def _cancel_at(unit: Unit, subscription: Obj) -> None:
    if subscription["status"] not in ending.OVER:
        final_invoice(unit, subscription)
        ending.end(unit, subscription)


@jobs.does("period_roll")
def _due(unit: Unit, subscription: Obj) -> None:
    roll(unit, subscription)


def roll(unit: Unit, subscription: Obj) -> Obj | None:
    """Begin the next period of every item whose period is over; returns the draft of the renewal."""
    now = unit.now(subscription)
    if subscription["status"] in ending.OVER or subscription["status"] == "paused":
        return None
    if subscription["status"] == "incomplete":
        return None
    if subscription["cancel_at_period_end"]:
        invoice = final_invoice(unit, subscription)
        ending.end(unit, subscription)
        return invoice
    was_trial = subscription["status"] == "trialing"
    if was_trial and not may_go_on(unit, subscription):
        return None
    due = [item for item in subscription["_items"] if item["current_period_end"] <= now]
    lines: list[Obj] = []
    first = min((item["current_period_start"] for item in due), default=now)
    last = max((item["current_period_end"] for item in due), default=now)
    for item in due:
        lines += _next_period(unit, subscription, item, was_trial)
    if was_trial:
        subscription["status"] = "active"
    jobs.schedule(unit, "period_roll", subscription, items.next_end(subscription))
    return _renewal(unit, subscription, lines, (first, last))


def _next_period(unit: Unit, subscription: Obj, item: Obj, was_trial: bool) -> list[Obj]:
    start, boundary = item["current_period_start"], item["current_period_end"]
    grid = items.set_period(unit, subscription, item, boundary)
    if not pricing.is_metered(items.price_of(unit, item)):
        return proration.advance(unit, subscription, item, boundary, grid[1], grid)
    return [] if was_trial else proration.arrears(unit, subscription, item, start, boundary)


def _renewal(unit: Unit, subscription: Obj, lines: list[Obj], period: tuple[int, int]) -> Obj | None:
    customer = unit.need("customer", subscription["customer"])
    pending = invoicing.pending_items(unit, customer["id"], subscription["id"], subscription["currency"])
    if not lines and not pending:
        updated(unit, subscription, "customer.subscription")
        return None
    paused = subscription["pause_collection"]
    held = subscription["status"] == "unpaid" or (paused is not None and paused["behavior"] == "keep_as_draft")
    invoice = invoicing.draft(
        unit,
        customer,
        currency=subscription["currency"],
        reason="subscription_cycle",
        period=period,
        subscription=subscription,
        lines=lines,
        items=pending,
        automatic=not held,
        quiet=True,
    )
    proration.remember(invoice, subscription)
    updated(unit, subscription, "customer.subscription")
    emit(unit, "invoice.created", invoice)
    return invoice


def may_go_on(unit: Unit, subscription: Obj) -> bool:
    """A trial without a card goes on, stops or ends, as its settings say."""
    behavior = (subscription["trial_settings"] or {"end_behavior": {"missing_payment_method": "create_invoice"}})["end_behavior"]
    what = behavior["missing_payment_method"]
    customer = unit.need("customer", subscription["customer"])
    card = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    if ident(card) or what == "create_invoice":
        return True
    if what == "cancel":
        ending.end(unit, subscription, reason=None)
        return False
    subscription["status"] = "paused"
    subscription["trial_end"] = min(subscription["trial_end"], unit.now(subscription))
    jobs.cancel(unit, subscription)
    updated(unit, subscription, "customer.subscription")
    emit(unit, "customer.subscription.paused", subscription)
    return False


def final_invoice(unit: Unit, subscription: Obj, *, prorate: bool = False, collect: bool = False) -> Obj | None:
    """What is still owed when a subscription ends: metered use, and items that wait."""
    now = unit.now(subscription)
    lines: list[Obj] = []
    for item in subscription["_items"]:
        metered = pricing.is_metered(items.price_of(unit, item))
        if metered and subscription["status"] != "trialing":
            used = proration.arrears(unit, subscription, item, item["current_period_start"], min(now, item["current_period_end"]))
            lines += [line for line in used if line["amount"]]
        elif prorate:
            proration.credit(unit, subscription, item, now)
    customer = unit.need("customer", subscription["customer"])
    pending = invoicing.pending_items(unit, customer["id"], subscription["id"], subscription["currency"])
    if not lines and not pending:
        return None
    start = min(item["current_period_start"] for item in subscription["_items"])
    invoice = invoicing.draft(
        unit,
        customer,
        currency=subscription["currency"],
        reason="subscription_cycle",
        period=(start, now),
        subscription=subscription,
        lines=lines,
        items=pending,
        automatic=not collect,
    )
    if collect:
        collecting.finish(unit, invoice)
    return invoice
