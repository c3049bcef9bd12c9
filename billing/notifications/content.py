"""Subject and text of each billing email, rendered from the current state when the email is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.utils.dateformat import format as format_date

from billing import amounts
from billing.models import BillingNotification, Invoice, SubscriptionState
from billing.selectors import invoice_to_pay, upcoming_change
from contextmcp.common.emails import EmailContent
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG


def render(notification: BillingNotification) -> EmailContent | None:
    """Return the email's content, or None if it no longer applies to the current state."""
    content = RENDERERS[notification.kind](notification)
    note = f"You receive this email because it is the billing address of {notification.organization.name} at {settings.PRODUCT_NAME}."
    return replace(content, note=note) if content else None


def _day(moment: datetime) -> str:
    return format_date(moment, "F j, Y")


def _billing_page() -> str:
    return f"{settings.PUBLIC_URL}/account/billing/"


def _plan(state: SubscriptionState) -> str:
    return f"{settings.PRODUCT_NAME} {state.plan_version.terms.title}" if state.plan_version else str(settings.PRODUCT_NAME)


def _render_receipt(notification: BillingNotification) -> EmailContent | None:
    invoice = Invoice.objects.filter(stripe_invoice_id=notification.object_id, status="paid").first()
    if invoice is None or invoice.paid_at is None:
        return None
    lines = [(line["description"] or settings.PRODUCT_NAME, format_amount(line["amount"], invoice.currency)) for line in invoice.lines]
    for name, amount in (("Discount", -invoice.discount), ("Tax", invoice.tax)):
        if amount:
            lines.append((name, format_amount(amount, invoice.currency)))
    lines.append(("Paid", format_amount(invoice.amount_paid, invoice.currency)))
    return EmailContent(
        title=f"Receipt for {format_amount(invoice.amount_paid, invoice.currency)}",
        paragraphs=(f"Thank you. We received your payment for invoice {invoice.number} on {_day(invoice.paid_at)}.",),
        lines=tuple(lines),
        label="View invoice",
        link=invoice.hosted_url,
        pdf=invoice.pdf_url,
    )


def _lapsed_subscription(notification: BillingNotification) -> SubscriptionState | None:
    """Return the notification's subscription if the same payment is still missing."""
    state = SubscriptionState.objects.filter(stripe_subscription_id=notification.object_id, status__in=["past_due", "unpaid"]).first()
    return state if state and state.past_due_since and state.past_due_since.isoformat() == notification.transition else None


def _render_dunning(title: str, sentence: str, *, verb: str = "keep") -> Callable[[BillingNotification], EmailContent | None]:
    def render_email(notification: BillingNotification) -> EmailContent | None:
        state = _lapsed_subscription(notification)
        if state is None or state.grace_until is None:
            return None
        plan, day = _plan(state), _day(state.grace_until)
        invoice = invoice_to_pay(state)
        amount = f" of {format_amount(invoice.amount_remaining, invoice.currency)}" if invoice else ""
        return EmailContent(
            title=title.format(plan=plan, day=day),
            paragraphs=(
                f"The payment{amount} for {plan} failed.",
                sentence.format(plan=plan, day=day, free=CATALOG.free.title),
                f"Pay the invoice or update your payment method to {verb} your subscription.",
            ),
            label="Pay the invoice" if invoice and invoice.hosted_url else "Update payment method",
            link=(invoice.hosted_url if invoice else "") or _billing_page(),
        )

    return render_email


def _render_trial_ending(notification: BillingNotification) -> EmailContent | None:
    state = SubscriptionState.objects.filter(stripe_subscription_id=notification.object_id, status="trialing", cancel_at=None).first()
    if state is None or state.trial_end is None or state.trial_end.isoformat() != notification.transition:
        return None
    payment = amounts.next_payment(state)
    if payment is None:
        return None
    due = format_amount(payment.amount, payment.currency)
    notes = [] if payment.exact else ["before tax"]
    if payment.discount:
        notes.append(f"after a discount of {format_amount(payment.discount, payment.currency)}")
    if payment.tax:
        notes.append(f"tax of {format_amount(payment.tax, payment.currency)} included")
    details = f" ({', '.join(notes)})" if notes else ""
    change = upcoming_change(state)
    changes = change is not None and change.kind == "plan" and change.at <= state.trial_end
    plan = f"{settings.PRODUCT_NAME} {CATALOG.plan_title(change.plan)}" if change and changes else _plan(state)
    interval = change.interval if change and changes else state.interval
    which, length = ("first", f"the first {interval}") if state.on_first_trial else ("next", f"the next {interval}")
    return EmailContent(
        title=f"Your {'trial ends' if state.on_first_trial else 'free period ends'} on {_day(state.trial_end)}",
        paragraphs=(
            f"Your {which} payment for {plan} is due on that date: {due}{details} for {length}. Your subscription renews automatically.",
            "If you cancel before that date, you will not be charged.",
        ),
        label="View billing",
        link=_billing_page(),
    )


def _render_ended(notification: BillingNotification) -> EmailContent | None:
    state = SubscriptionState.objects.filter(stripe_subscription_id=notification.object_id, status="canceled").first()
    if state is None:
        return None
    free = CATALOG.free.title
    return EmailContent(
        title=f"{_plan(state)} has ended",
        paragraphs=(
            f"Your organization is now on the {free} plan. No data was deleted. Items above the {free} plan's limits are read-only.",
            "You can subscribe again at any time.",
        ),
        label="View plans",
        link=f"{settings.PUBLIC_URL}/pricing/",
    )


def _render_trial_withheld(notification: BillingNotification) -> EmailContent | None:
    state = SubscriptionState.objects.filter(stripe_subscription_id=notification.object_id, status="canceled").first()
    if state is None:
        return None
    return EmailContent(
        title=f"Your trial of {_plan(state)} did not start",
        paragraphs=(
            "You have already had a trial, or your payment method has already been used for one. "
            "Each person and payment method can have one trial.",
            "The subscription was canceled and nothing was charged. You can subscribe without a trial at any time.",
            "If you believe this is a mistake, reply to this email.",
        ),
        label="View plans",
        link=f"{settings.PUBLIC_URL}/pricing/",
    )


RENDERERS: dict[str, Callable[[BillingNotification], EmailContent | None]] = {
    "receipt": _render_receipt,
    "dunning_started": _render_dunning("Payment failed", "You keep {plan} until {day} while we retry the payment."),
    "dunning_halfway": _render_dunning("Payment still outstanding", "You keep {plan} until {day}."),
    "dunning_last_day": _render_dunning("{plan} will be paused tomorrow", "If the invoice is not paid, {plan} will be paused on {day}."),
    "dunning_over": _render_dunning(
        "{plan} is paused",
        "Your organization moved to the {free} plan on {day}. No data was deleted. Items above the {free} plan's limits are read-only.",
        verb="restore",
    ),
    "trial_ending": _render_trial_ending,
    "trial_withheld": _render_trial_withheld,
    "ended": _render_ended,
}
