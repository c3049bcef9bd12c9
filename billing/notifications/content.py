"""Subject and text of each billing email, rendered from the current state when the email is sent, in the present language.

This module contains the emails about payments, `subscription_content` those about subscriptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from django.conf import settings
from django.utils.translation import gettext as _

from billing import payment_methods
from billing.models import Adjustment, BillingNotification, Invoice, SubscriptionState
from billing.selectors import invoice_to_pay
from contextmcp.common.emails import EmailContent
from contextmcp.common.formatting import format_day
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG

from . import subscription_content
from .subscription_content import billing_page, plan_name


def render(notification: BillingNotification) -> EmailContent | None:
    """Return the email's content, or None if it no longer applies to the current state."""
    content = RENDERERS[notification.kind](notification)
    names = {"name": notification.organization.name, "product": settings.PRODUCT_NAME}
    note = _("You receive this email because it is the billing address of %(name)s at %(product)s.") % names
    return replace(content, note=note) if content else None


def _render_receipt(notification: BillingNotification) -> EmailContent | None:
    invoice = Invoice.objects.filter(stripe_invoice_id=notification.object_id, status="paid").first()
    if invoice is None or invoice.paid_at is None:
        return None
    lines = [(line["description"] or settings.PRODUCT_NAME, format_amount(line["amount"], invoice.currency)) for line in invoice.lines]
    for name, amount in ((_("Discount"), -invoice.discount), (_("Tax"), invoice.tax)):
        if amount:
            lines.append((name, format_amount(amount, invoice.currency)))
    paid = format_amount(invoice.amount_paid, invoice.currency)
    lines.append((_("Paid"), paid))
    sentence = _("Thank you. We received your payment for invoice %(number)s on %(day)s.")
    return EmailContent(
        title=_("Receipt for %(amount)s") % {"amount": paid},
        paragraphs=(sentence % {"number": invoice.number, "day": format_day(invoice.paid_at)},),
        lines=tuple(lines),
        label=_("View invoice"),
        link=invoice.hosted_url,
        pdf=invoice.pdf_url,
    )


def _render_refund(notification: BillingNotification) -> EmailContent | None:
    refund = Adjustment.objects.filter(stripe_id=notification.object_id, kind=Adjustment.Kind.REFUND, status="succeeded").first()
    if refund is None:
        return None
    invoice = Invoice.objects.filter(stripe_invoice_id=refund.stripe_invoice_id).exclude(stripe_invoice_id="").first()
    values = {"amount": format_amount(refund.amount, refund.currency), "number": invoice.number if invoice else ""}
    if invoice is not None:
        sentence = _("We refunded %(amount)s of your payment for invoice %(number)s.") % values
    else:
        sentence = _("We refunded %(amount)s to your payment method.") % values
    return EmailContent(
        title=_("Refund of %(amount)s") % values,
        paragraphs=(sentence, _("It can take 5 to 10 business days until your bank shows the amount.")),
        label=_("View billing"),
        link=billing_page(),
    )


def _render_card_expiring(notification: BillingNotification) -> EmailContent | None:
    """Return the email while the card is still the one that will be charged."""
    account = notification.organization.billing_account
    card = account.payment_method or {}
    if card.get("id") != notification.object_id or f"{card.get('exp_year')}-{card.get('exp_month')}" != notification.transition:
        return None
    state = notification.organization.subscriptions.live().filter(cancel_at=None).select_related("plan_version").first()
    if state is None:
        return None
    values = {
        "card": payment_methods.from_row(card).display_name,
        "month": f"{card['exp_month']:02}/{card['exp_year']}",
        "plan": plan_name(state),
    }
    return EmailContent(
        title=_("Your card expires soon"),
        paragraphs=(
            _("%(card)s, with which you pay for %(plan)s, expires in %(month)s.") % values,
            _("Add another payment method before then, so that your next payment does not fail."),
        ),
        label=_("Update payment method"),
        link=billing_page(),
    )


def _lapsed_subscription(notification: BillingNotification) -> SubscriptionState | None:
    """Return the notification's subscription if the same payment is still missing."""
    state = SubscriptionState.objects.filter(stripe_subscription_id=notification.object_id, status__in=["past_due", "unpaid"]).first()
    return state if state and state.past_due_since and state.past_due_since.isoformat() == notification.transition else None


def _render_dunning(notification: BillingNotification) -> EmailContent | None:
    state = _lapsed_subscription(notification)
    if state is None or state.grace_until is None:
        return None
    invoice = invoice_to_pay(state)
    values = {"plan": plan_name(state), "day": format_day(state.grace_until), "free_plan": CATALOG.free.title}
    if invoice is None:
        failed = _("The payment for %(plan)s failed.") % values
    else:
        values["amount"] = format_amount(invoice.amount_remaining, invoice.currency)
        failed = _("The payment of %(amount)s for %(plan)s failed.") % values
    title, consequence = _dunning_stage(notification.kind, values)
    if notification.kind == "dunning_over":
        advice = _("Pay the invoice or update your payment method to restore your subscription.")
    else:
        advice = _("Pay the invoice or update your payment method to keep your subscription.")
    return EmailContent(
        title=title,
        paragraphs=(failed, consequence, advice),
        label=_("Pay the invoice") if invoice and invoice.hosted_url else _("Update payment method"),
        link=(invoice.hosted_url if invoice else "") or billing_page(),
    )


def _dunning_stage(kind: str, values: dict[str, str]) -> tuple[str, str]:
    """Return the title and the sentence about the consequences."""
    if kind == "dunning_started":
        return _("Payment failed"), _("You keep %(plan)s until %(day)s while we retry the payment.") % values
    if kind == "dunning_halfway":
        return _("Payment still outstanding"), _("You keep %(plan)s until %(day)s.") % values
    if kind == "dunning_last_day":
        return (
            _("%(plan)s will be paused tomorrow") % values,
            _("If the invoice is not paid, %(plan)s will be paused on %(day)s.") % values,
        )
    moved = _(
        "Your organization moved to the %(free_plan)s plan on %(day)s. No data was deleted. "
        "Items above the %(free_plan)s plan's limits are read-only."
    )
    return _("%(plan)s is paused") % values, moved % values


RENDERERS: dict[str, Callable[[BillingNotification], EmailContent | None]] = {
    "receipt": _render_receipt,
    "refund": _render_refund,
    "card_expiring": _render_card_expiring,
    "dunning_started": _render_dunning,
    "dunning_halfway": _render_dunning,
    "dunning_last_day": _render_dunning,
    "dunning_over": _render_dunning,
    **subscription_content.RENDERERS,
}
