"""Sentences about what staff change at Stripe: refunds, credit, discounts, free days, and pauses of the collection of payments."""

from typing import Any

from contextmcp.common.money import format_amount
from contextmcp.web.activity.types import Kind

from .registry import Context, day, fixed, sentence


def _money(context: Context, name: str) -> str:
    amount, currency = context.after(name), context.after("currency")
    return format_amount(abs(amount), currency) if isinstance(amount, int) and currency else "an amount"


# Customers read of the refund itself when Stripe has made it.
@sentence("billing.refund", kind=Kind.PAYMENT, shown=False)
def _refund(context: Context) -> str:
    what = f"{_money(context, 'amount')} of invoice {context.after('invoice') or ''}".rstrip()
    return context.say(f"refunded {what}", f"{what} were refunded")


@sentence("billing.credit", kind=Kind.PAYMENT)
def _credit(context: Context) -> str:
    added, amount = context.after("added"), _money(context, "added")
    if isinstance(added, int) and added < 0:
        return context.say(f"removed a credit of {amount}", f"a credit of {amount} was removed")
    return context.say(f"gave a credit of {amount} for the next invoices", f"a credit of {amount} was given for the next invoices")


@sentence("billing.discount", kind=Kind.PAYMENT)
def _discount(context: Context) -> str:
    percent = context.after("percent_off")
    size = f" of {percent}%" if percent else f" of {_money(context, 'amount_off')}" if context.after("amount_off") else ""
    months: Any = context.after("months")
    length = {"forever": " for all invoices", "once": " for the next invoice"}.get(context.after("duration") or "", "")
    length = f" for {months} month{'' if months == 1 else 's'}" if months else length
    return context.say(f"gave a discount{size}{length}", f"a discount{size}{length} was given")


@sentence("billing.free_days", kind=Kind.PAYMENT)
def _free_days(context: Context) -> str:
    days, following = context.after("days"), context.after("next_payment_at")
    length = f"{days} free day{'' if days == 1 else 's'}" if days else "free days"
    payment = f"; the next payment is on {day(following)}" if following else ""
    return context.say(f"gave {length}{payment}", f"{length} were given{payment}")


@sentence("billing.pause_collection", kind=Kind.PAYMENT)
def _pause(context: Context) -> str:
    until = f" until {day(context.after('resumes_at'))}" if context.after("resumes_at") else ""
    return context.say(f"paused the collection of payments{until}", f"the collection of payments was paused{until}")


fixed(
    "billing.resume_collection",
    "resumed the collection of payments",
    "the collection of payments was resumed",
    kind=Kind.PAYMENT,
)
fixed("billing.end_discounts", "ended all discounts", "all discounts were ended", kind=Kind.PAYMENT)
