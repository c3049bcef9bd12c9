"""Sentences about the subscription and its payments. Entries about synchronization with Stripe are internal."""

from datetime import UTC, datetime
from typing import Any

from contextmcp.common.money import format_amount
from contextmcp.common.text import words
from contextmcp.web.activity.types import Kind
from entitlements.catalog import CATALOG

from .registry import Context, day, fixed, plan, sentence

_INTERNAL = {
    "billing.create_customer": ("created the customer at Stripe", "The customer was created at Stripe"),
    "billing.align_planned_change": ("aligned the scheduled plan change", "The scheduled plan change was aligned at Stripe"),
    "billing.add_overage_item": ("added the metered price at Stripe", "The metered price was added at Stripe"),
    "billing.remove_overage_item": ("removed the metered price at Stripe", "The unused metered price was removed at Stripe"),
    "billing.finalize_invoice": ("finalized a draft invoice", "A draft invoice was finalized"),
    "billing.void_invoice": ("voided an invoice", "An invoice was voided"),
    "billing.release_schedule": ("released an obsolete schedule at Stripe", "An obsolete schedule was released at Stripe"),
    "billing.open_portal": ("opened the billing portal", "The billing portal was opened"),
    "billing.dispute_lost": ("ended access after a lost dispute", "Access was ended because a dispute was lost"),
    "billing.refunded": ("ended access after a refund", "Access was ended because the newest payment was refunded in full"),
    "billing.customer_linked": ("linked a Stripe customer", "A purchase at Stripe was linked to the organization"),
    "billing.price_registered": ("registered {target}", "{target} was registered"),
    "billing.alert_resolved": ("resolved the {target}", "The {target} was resolved"),
    "billing.email_retried": ("retried the billing {target}", "The billing {target} was retried"),
    "webhook_event.discarded": ("discarded the Stripe event {target}", "The Stripe event {target} was discarded"),
    "webhook_event.replayed": ("replayed the Stripe event {target}", "The Stripe event {target} was replayed"),
}
for _action, (_active, _passive) in _INTERNAL.items():
    fixed(_action, _active, _passive, kind=Kind.INTERNAL, shown=False)


def _plan_price(context: Context, name: Any, interval: Any) -> str:
    return f"the {plan(context, name)} plan{', billed yearly' if interval == 'year' else ', billed monthly' if interval == 'month' else ''}"


def _checkout_key(event: Any) -> str:
    return str(event.target).removeprefix("checkout:")


@sentence("billing.checkout_started", kind=Kind.PAYMENT, model="billing.checkoutattempt", target=_checkout_key)
def _checkout(context: Context) -> str:
    days = context.after("trial_days")
    trial = f" with a trial of {days} days" if days else ""
    what = f"checkout for {_plan_price(context, context.after('plan'), context.after('interval'))}{trial}"
    return context.by_actor(f"opened the {what}", f"The {what} was opened")


@sentence("billing.change_plan", kind=Kind.PLAN)
def _change_plan(context: Context) -> str:
    target = _plan_price(context, context.after("plan"), context.after("interval"))
    if context.after("when") == "now":
        return context.by_actor(f"changed to {target}", f"The subscription changed to {target}")
    return context.by_actor(f"scheduled the change to {target} for the end of the period", f"The change to {target} was scheduled")


@sentence("billing.move_version", kind=Kind.PLAN)
def _move_version(context: Context) -> str:
    title = plan(context, context.before("plan"))
    return context.by_actor(f"moved the {title} plan to its current terms", f"the {title} plan moved to its current terms")


@sentence("billing.cancel", kind=Kind.PLAN)
def _cancel(context: Context) -> str:
    when = "immediately" if context.after("at_once") else "at the end of the period"
    text = context.by_actor(f"canceled the subscription, effective {when}", f"The subscription was canceled, effective {when}")
    return f"{text}{_cancellation_reason(context)}"


def _cancellation_reason(context: Context) -> str:
    """Return what the customer said, for staff only."""
    feedback, comment = str(context.after("feedback") or ""), str(context.after("comment") or "")
    if not context.for_staff or not (feedback or comment):
        return ""
    quote = f" “{comment}”" if comment else ""
    return f" Reason: {words(feedback) or 'not given'}.{quote}"


@sentence("billing.set_overage", kind=Kind.PAYMENT)
def _overage(context: Context) -> str:
    noun = CATALOG.noun(context.after("feature") or "")
    if not context.after("enabled"):
        return context.by_actor(f"turned off Pay-as-you-go for {noun}", f"Pay-as-you-go for {noun} was turned off")
    cap = format_amount(context.after("cap_minor") or 0, context.after("currency") or "usd")
    limit = f"Pay-as-you-go for {noun}", f"up to {cap} a month"
    return context.by_actor(f"turned on {limit[0]}, {limit[1]}", f"{limit[0]} was turned on, {limit[1]}")


@sentence("billing.pause_payments", kind=Kind.PAYMENT)
def _pause(context: Context) -> str:
    resumes_at = context.after("resumes_at")
    until = f" until {day(datetime.fromtimestamp(resumes_at, UTC).isoformat())}" if isinstance(resumes_at, int) else ""
    return context.by_actor(f"paused the payments{until}", f"The payments were paused{until}")


fixed("billing.cancel_scheduled_change", "canceled the scheduled plan change", "The scheduled plan change was canceled", kind=Kind.PLAN)
fixed("billing.resume_payments", "resumed the payments", "The payments were resumed", kind=Kind.PAYMENT)
fixed("billing.resume", "resumed the subscription", "The subscription was resumed", kind=Kind.PLAN)
fixed(
    "billing.withhold_trial",
    "ended the trial before it was charged, because a trial was used before",
    "The trial did not start, because a trial was used before",
    kind=Kind.PLAN,
)


@sentence("billing.synced", kind=Kind.INTERNAL, shown=False)
def _synced(context: Context) -> str:
    count = len(context.after("differences") or [])
    found = f"{count} difference{'' if count == 1 else 's'} found" if count else "no differences found"
    return context.by_actor(f"synced the billing data from Stripe: {found}", f"The billing data was synced from Stripe: {found}")


@sentence("billing.compared", kind=Kind.INTERNAL, shown=False)
def _compared(context: Context) -> str:
    count = len(context.after("differences") or [])
    found = f"{count} difference{'' if count == 1 else 's'} found" if count else "no differences found"
    return context.by_actor(f"compared the organization with Stripe: {found}", f"The organization was compared with Stripe: {found}")


@sentence("billing.reconciled", kind=Kind.INTERNAL, shown=False)
def _reconciled(context: Context) -> str:
    return context.by_actor("compared the data with Stripe", "The data was compared with Stripe")
