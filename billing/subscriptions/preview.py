"""Previews of plan changes with their exact cost, from Stripe's invoice previews."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.models import Organization
from billing import amounts, over_limit
from billing.catalog import prices
from billing.documents.columns import line_fields
from billing.documents.stripe_documents import at
from billing.errors import StripeRejected
from billing.stripe.gateway import invoices
from billing.types import ChangePreview, Line
from contextmcp.common.clock import now
from entitlements.periods import add_months

from .resolve_plan_change import PlanChange, checked_after_refusal, resolve_plan_change


def preview_change(organization: Organization, plan: str, interval: str) -> ChangePreview:
    """Return the cost of a plan change. Passing the preview's `proration_date` to the change makes the invoice match it exactly.

    Raises the errors of `resolve_plan_change`, and `StripeRejected` or `StripeUnavailable`.
    """
    target = resolve_plan_change(organization, plan, interval)
    over = over_limit.over_limits_for_plan(organization, target.price.plan_version.terms)
    regular: dict[str, Any] = {
        "plan": plan,
        "interval": interval,
        "when": target.when,
        "effective_at": target.at,
        "currency": target.price.currency,
        "over_limits": over,
    }
    if target.when == "period_end" or target.on_trial:
        first = _first_charge(target)
        return ChangePreview(due_now=0, credit=0, lines=(), next_at=first, next_amount=_next_amount(target, first), **regular)
    moment = now(organization).replace(microsecond=0)
    document = _invoice_preview(target, moment)
    next_at = _next(target, moment)
    discount = sum(each["amount"] for each in document["total_discount_amounts"] or [])
    return ChangePreview(
        due_now=max(0, document["amount_due"]),
        credit=max(0, -document["total"]),
        lines=tuple(line(each) for each in document["lines"]["data"]),
        next_at=next_at,
        next_amount=_next_amount(target, next_at, billed_now=True),
        proration_date=moment,
        discount=discount,
        tax=document["total"] - document["subtotal"] + discount,
        balance=document["amount_due"] - document["total"] if document["total"] > 0 else 0,
        **regular,
    )


def _invoice_preview(target: PlanChange, moment: datetime) -> dict[str, Any]:
    with checked_after_refusal(target.state):
        return invoices.preview(
            customer=target.state.stripe_customer_id,
            subscription=target.state.stripe_subscription_id,
            subscription_details={
                "items": items(target),
                "proration_behavior": "always_invoice",
                "proration_date": int(moment.timestamp()),
            },
        )


def _next_amount(target: PlanChange, when: datetime | None, *, billed_now: bool = False) -> int:
    """Return the plan's price at its next charge from Stripe's preview, with quantity, the discounts that apply then, and tax.

    With `billed_now` the change has its own invoice, which uses up discounts with the duration "once".
    """
    state = target.state
    remaining = [each for each in state.discounts if not (billed_now and each.get("duration") == "once")]
    # An empty string removes all discounts; an empty list would not be sent.
    discounts = {"discounts": amounts.discounts_of_preview(remaining, when) or ""} if state.discounts else {}
    try:
        document = invoices.preview(
            customer=state.stripe_customer_id,
            subscription=state.stripe_subscription_id,
            subscription_details={"items": items(target), "proration_behavior": "none"},
            **discounts,
        )
    except StripeRejected:
        return amounts.after_discounts(target.price.amount * state.quantity, remaining, target.price.currency, when)
    return amounts.regular(document, prices.price_index())


def items(target: PlanChange) -> list[dict[str, Any]]:
    """Return the `items` parameter of the subscription update that applies the change."""
    result: list[dict[str, Any]] = [{"id": target.state.stripe_item_id, "price": target.price.stripe_price_id}]
    if target.drops_overage:
        result.append({"id": target.state.overage_item_id, "deleted": True})
    return result


def line(document: dict[str, Any]) -> Line:
    """Convert an invoice line, either Stripe's document or a stored one (`Invoice.lines`)."""
    fields = line_fields(document) if "period" in document else document
    start, end = fields["period_start"], fields["period_end"]
    return Line(
        description=fields["description"],
        amount=fields["amount"],
        quantity=fields["quantity"],
        period_start=None if start is None else at(start),
        period_end=None if end is None else at(end),
        proration=fields["proration"],
    )


def _first_charge(target: PlanChange) -> datetime | None:
    return target.state.trial_end if target.on_trial else target.at


def _next(target: PlanChange, moment: datetime) -> datetime | None:
    """Return when the new price is next charged in full. A change of interval starts a new period now."""
    if target.price.interval == target.state.interval:
        return target.state.current_period_end
    return add_months(moment, 12 if target.price.interval == "year" else 1)
