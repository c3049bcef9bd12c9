"""Sentences about what staff change at Stripe: refunds, credit, discounts, free days and paused payment collection."""

from typing import Any

from contextmcp.common.money import format_amount
from contextmcp.web.activity.types import Kind

from .registry import Context, day, fixed, sentence


def _money(context: Context, name: str) -> str:
    amount, currency = context.after(name), context.after("currency")
    return format_amount(abs(amount), currency) if isinstance(amount, int) and currency else "an amount"


# Internal: customers see the entry of the refund itself, once Stripe has created it.
@sentence("billing.refund", kind=Kind.PAYMENT, shown=False)
def _refund(context: Context) -> str:
    what = f"{_money(context, 'amount')} of invoice {context.after('invoice') or ''}".rstrip()
    return context.by_actor(f"refunded {what}", f"{what} was refunded")


@sentence("billing.credit", kind=Kind.PAYMENT)
def _credit(context: Context) -> str:
    added, amount = context.after("added"), _money(context, "added")
    if isinstance(added, int) and added < 0:
        return context.by_actor(f"removed a credit of {amount}", f"a credit of {amount} was removed")
    return context.by_actor(f"added a credit of {amount} for the next invoices", f"a credit of {amount} was added for the next invoices")


@sentence("billing.discount", kind=Kind.PAYMENT)
def _discount(context: Context) -> str:
    percent = context.after("percent_off")
    size = f" of {percent}%" if percent else f" of {_money(context, 'amount_off')}" if context.after("amount_off") else ""
    months: Any = context.after("months")
    length = {"forever": " for all invoices", "once": " for the next invoice"}.get(context.after("duration") or "", "")
    length = f" for {months} month{'' if months == 1 else 's'}" if months else length
    return context.by_actor(f"added a discount{size}{length}", f"a discount{size}{length} was added")


@sentence("billing.free_days", kind=Kind.PAYMENT)
def _free_days(context: Context) -> str:
    days, following = context.after("days"), context.after("next_payment_at")
    length = f"{days} free day{'' if days == 1 else 's'}" if days else "free days"
    payment = f"; the next payment is on {day(following)}" if following else ""
    return context.by_actor(f"added {length}{payment}", f"the subscription got {length}{payment}")


@sentence("billing.pause_collection", kind=Kind.PAYMENT)
def _pause(context: Context) -> str:
    until = f" until {day(context.after('resumes_at'))}" if context.after("resumes_at") else ""
    return context.by_actor(f"paused payment collection{until}", f"payment collection was paused{until}")


fixed(
    "billing.resume_collection",
    "resumed payment collection",
    "payment collection was resumed",
    kind=Kind.PAYMENT,
)
fixed("billing.end_discounts", "removed all discounts", "all discounts were removed", kind=Kind.PAYMENT)
