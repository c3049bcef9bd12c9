"""The end of a period: start the next one, bill usage, and end trials or the subscription."""

from stripe_simulator import cancellation, invoice_collection, invoicing, items, jobs, pricing, proration
from stripe_simulator.events import emit, updated
from stripe_simulator.types import Obj, id_of
from stripe_simulator.unit_of_work import Unit


@jobs.handles("cancel_at")
def _cancel_at(unit: Unit, subscription: Obj) -> None:
    if subscription["status"] not in cancellation.TERMINAL_STATUSES:
        final_invoice(unit, subscription)
        cancellation.cancel_now(unit, subscription)


@jobs.handles("period_roll")
def _due(unit: Unit, subscription: Obj) -> None:
    renew(unit, subscription)


def renew(unit: Unit, subscription: Obj) -> Obj | None:
    """Start the next period of each item whose period is over. Return the draft of the renewal."""
    now = unit.now(subscription)
    if subscription["status"] in cancellation.TERMINAL_STATUSES or subscription["status"] == "paused":
        return None
    if subscription["status"] == "incomplete":
        return None
    if subscription["cancel_at_period_end"]:
        invoice = final_invoice(unit, subscription)
        cancellation.cancel_now(unit, subscription)
        return invoice
    was_trial = subscription["status"] == "trialing"
    if was_trial and not continue_after_trial(unit, subscription):
        return None
    due = [item for item in subscription["_items"] if item["current_period_end"] <= now]
    lines: list[Obj] = []
    first = min((item["current_period_start"] for item in due), default=now)
    last = max((item["current_period_end"] for item in due), default=now)
    for item in due:
        lines += _next_period(unit, subscription, item, was_trial)
    if was_trial:
        subscription["status"] = "active"
    jobs.schedule(unit, "period_roll", subscription, items.next_period_end(subscription))
    return _renewal(unit, subscription, lines, (first, last))


def _next_period(unit: Unit, subscription: Obj, item: Obj, was_trial: bool) -> list[Obj]:
    start, boundary = item["current_period_start"], item["current_period_end"]
    grid = items.set_period(unit, subscription, item, boundary)
    if not pricing.is_metered(items.price_of(unit, item)):
        return proration.licensed_lines(unit, subscription, item, boundary, grid[1], grid)
    return [] if was_trial else proration.metered_lines(unit, subscription, item, start, boundary)


def _renewal(unit: Unit, subscription: Obj, lines: list[Obj], period: tuple[int, int]) -> Obj | None:
    customer = unit.require("customer", subscription["customer"])
    pending = invoicing.pending_items(unit, customer["id"], subscription["id"], subscription["currency"])
    if not lines and not pending:
        updated(unit, subscription, "customer.subscription")
        return None
    paused = subscription["pause_collection"]
    keep_draft = subscription["status"] == "unpaid" or (paused is not None and paused["behavior"] == "keep_as_draft")
    invoice = invoicing.draft(
        unit,
        customer,
        currency=subscription["currency"],
        reason="subscription_cycle",
        period=period,
        subscription=subscription,
        lines=lines,
        items=pending,
        automatic=not keep_draft,
        quiet=True,
    )
    proration.record_billed(invoice, subscription)
    updated(unit, subscription, "customer.subscription")
    emit(unit, "invoice.created", invoice)
    return invoice


def continue_after_trial(unit: Unit, subscription: Obj) -> bool:
    """Continue, pause or cancel a trial without a payment method, according to its settings."""
    behavior = (subscription["trial_settings"] or {"end_behavior": {"missing_payment_method": "create_invoice"}})["end_behavior"]
    what = behavior["missing_payment_method"]
    customer = unit.require("customer", subscription["customer"])
    card = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    if id_of(card) or what == "create_invoice":
        return True
    if what == "cancel":
        cancellation.cancel_now(unit, subscription, reason=None)
        return False
    subscription["status"] = "paused"
    subscription["trial_end"] = min(subscription["trial_end"], unit.now(subscription))
    jobs.cancel(unit, subscription)
    updated(unit, subscription, "customer.subscription")
    emit(unit, "customer.subscription.paused", subscription)
    return False


def final_invoice(unit: Unit, subscription: Obj, *, prorate: bool = False, collect: bool = False) -> Obj | None:
    """Return what remains to be billed when a subscription ends: metered usage and pending items."""
    now = unit.now(subscription)
    lines: list[Obj] = []
    for item in subscription["_items"]:
        metered = pricing.is_metered(items.price_of(unit, item))
        if metered and subscription["status"] != "trialing":
            used = proration.metered_lines(unit, subscription, item, item["current_period_start"], min(now, item["current_period_end"]))
            lines += [line for line in used if line["amount"]]
        elif prorate:
            proration.credit_unused(unit, subscription, item, now)
    customer = unit.require("customer", subscription["customer"])
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
        invoice_collection.finalize_and_collect(unit, invoice)
    return invoice
