"""What a change will cost, to the cent, before it is made."""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime
from typing import Any

from accounts.models import Organization
from billing.errors import NoSubscription, StripeRejected
from billing.gateway import invoices
from billing.types import ChangePreview, Line
from contextmcp.common.clock import now

from . import limits
from .projection import at, line_fields
from .sync import sync_customer
from .target import Target, choose


def preview(organization: Organization, plan: str, interval: str) -> ChangePreview:
    """Asked of Stripe, which will also bill it. The same `proration_date` given to the change makes the invoice agree to the cent."""
    target = choose(organization, plan, interval)
    over = limits.over(organization, target.price.plan_version.terms)
    regular: dict[str, Any] = {
        "plan": plan,
        "interval": interval,
        "when": target.when,
        "effective_at": target.at,
        "currency": target.price.currency,
        "next_amount": target.price.amount,
        "over_limits": over,
    }
    if target.when == "period_end" or target.on_trial:
        return ChangePreview(due_now=0, credit=0, lines=(), next_at=_first_charge(target), **regular)
    moment = now(organization).replace(microsecond=0)
    document = _asked(target, moment)
    return ChangePreview(
        due_now=max(0, document["amount_due"]),
        credit=max(0, -document["total"]),
        lines=tuple(line(each) for each in document["lines"]["data"]),
        next_at=_next(target, moment),
        proration_date=moment,
        **regular,
    )


def _asked(target: Target, moment: datetime) -> dict[str, Any]:
    try:
        return invoices.preview(
            customer=target.state.stripe_customer_id,
            subscription=target.state.stripe_subscription_id,
            subscription_details={
                "items": items(target),
                "proration_behavior": "always_invoice",
                "proration_date": int(moment.timestamp()),
            },
        )
    except StripeRejected as error:
        # It is no longer as we knew it.
        sync_customer(target.state.stripe_customer_id)
        raise NoSubscription from error


def items(target: Target) -> list[dict[str, Any]]:
    """The subscription's items as they shall be, in the words of an update."""
    wanted: list[dict[str, Any]] = [{"id": target.state.stripe_item_id, "price": target.price.stripe_price_id}]
    if target.drops_overage:
        wanted.append({"id": target.state.overage_item_id, "deleted": True})
    return wanted


def line(document: dict[str, Any]) -> Line:
    """A line of an invoice at Stripe, or of one that is kept here."""
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


def _first_charge(target: Target) -> datetime | None:
    return target.state.trial_end if target.on_trial else target.at


def _next(target: Target, moment: datetime) -> datetime | None:
    """When the new price is charged in full for the next time: a new interval starts afresh."""
    if target.price.interval == target.state.interval:
        return target.state.current_period_end
    years, months = (1, 0) if target.price.interval == "year" else (0, 1)
    return _later(moment, years, months)


def _later(moment: datetime, years: int, months: int) -> datetime:
    """The same day a month or a year on, or the month's last: February has no 31st."""
    month0 = moment.month - 1 + months
    year, month = moment.year + years + month0 // 12, month0 % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))
