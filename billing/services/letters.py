"""What each notice says, as long as it is still true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.dateformat import format as told

from billing.models import Invoice, Notice, SubscriptionState
from contextmcp.common.money import format_amount


@dataclass(frozen=True, slots=True)
class Letter:
    title: str
    paragraphs: tuple[str, ...]
    label: str = ""
    link: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    pdf: str = ""


def write(notice: Notice) -> Letter | None:
    """The letter, or None where what it would say no longer holds."""
    return _WRITERS[notice.kind](notice)


def _day(moment: datetime) -> str:
    return told(moment, "j F Y")


def _billing_page() -> str:
    return f"{settings.PUBLIC_URL}/account/billing/"


def _plan(state: SubscriptionState) -> str:
    return f"ContextMCP {state.plan_version.terms.title}" if state.plan_version else "ContextMCP"


def _receipt(notice: Notice) -> Letter | None:
    invoice = Invoice.objects.filter(stripe_invoice_id=notice.object_id, status="paid").first()
    if invoice is None or invoice.paid_at is None:
        return None
    lines = [(line["description"] or "ContextMCP", format_amount(line["amount"], invoice.currency)) for line in invoice.lines]
    for name, amount in (("Discount", -invoice.discount), ("Tax", invoice.tax)):
        if amount:
            lines.append((name, format_amount(amount, invoice.currency)))
    lines.append(("Paid", format_amount(invoice.amount_paid, invoice.currency)))
    return Letter(
        title=f"Receipt for {format_amount(invoice.amount_paid, invoice.currency)}",
        paragraphs=(f"Thank you. Your payment of {_day(invoice.paid_at)} for invoice {invoice.number} went through.",),
        lines=tuple(lines),
        label="See the invoice",
        link=invoice.hosted_url,
        pdf=invoice.pdf_url,
    )


def _owing(notice: Notice) -> SubscriptionState | None:
    state = SubscriptionState.objects.filter(stripe_subscription_id=notice.object_id, status__in=["past_due", "unpaid"]).first()
    return state if state and state.past_due_since and state.past_due_since.isoformat() == notice.transition else None


def _dunning(title: str, sentence: str) -> Callable[[Notice], Letter | None]:
    def writer(notice: Notice) -> Letter | None:
        state = _owing(notice)
        if state is None or state.grace_until is None:
            return None
        plan, day = _plan(state), _day(state.grace_until)
        owed = Invoice.objects.filter(stripe_subscription_id=state.stripe_subscription_id, status="open").order_by("-created_at").first()
        amount = f" of {format_amount(owed.amount_remaining, owed.currency)}" if owed else ""
        return Letter(
            title=title.format(plan=plan, day=day),
            paragraphs=(
                f"The payment{amount} for {plan} did not go through.",
                sentence.format(plan=plan, day=day),
                "Paying the invoice, or another card, sets it right at once.",
            ),
            label="Pay the invoice" if owed and owed.hosted_url else "Change the card",
            link=(owed.hosted_url if owed else "") or _billing_page(),
        )

    return writer


def _trial_ending(notice: Notice) -> Letter | None:
    state = SubscriptionState.objects.filter(stripe_subscription_id=notice.object_id, status="trialing", cancel_at=None).first()
    if state is None or state.trial_end is None or state.unit_amount is None or state.trial_end.isoformat() != notice.transition:
        return None
    price = f"{format_amount(state.unit_amount, state.currency)} a {state.interval}"
    return Letter(
        title=f"Your trial ends on {_day(state.trial_end)}",
        paragraphs=(
            f"From then on {_plan(state)} costs {price}. If you do nothing, it simply goes on.",
            "If you cancel before, nothing is charged.",
        ),
        label="See your plan",
        link=_billing_page(),
    )


def _ended(notice: Notice) -> Letter | None:
    state = SubscriptionState.objects.filter(stripe_subscription_id=notice.object_id, status="canceled").first()
    if state is None:
        return None
    return Letter(
        title=f"{_plan(state)} has ended",
        paragraphs=(
            "Your organization is on the free plan now. Nothing was deleted: what is beyond its limits is kept, and read-only.",
            "You can come back at any time.",
        ),
        label="See the plans",
        link=f"{settings.PUBLIC_URL}/pricing/",
    )


_WRITERS: dict[str, Callable[[Notice], Letter | None]] = {
    "receipt": _receipt,
    "dunning_started": _dunning("A payment did not go through", "{plan} goes on until {day} while we try again."),
    "dunning_halfway": _dunning("A payment is still missing", "{plan} goes on until {day}."),
    "dunning_last_day": _dunning("{plan} ends tomorrow", "Without a payment, {plan} ends on {day}."),
    "dunning_over": _dunning(
        "{plan} is paused",
        "Your organization is on the free plan since {day}. Nothing was deleted; what is beyond its limits is read-only.",
    ),
    "trial_ending": _trial_ending,
    "ended": _ended,
}
