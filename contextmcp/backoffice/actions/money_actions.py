"""Adjust the credit balance and refund payments at Stripe."""

from typing import Any

from django import forms

from accounts.models import Organization
from billing.models import Invoice
from billing.staff_actions import credit, refunds
from billing.stripe.gateway.client import is_configured
from contextmcp.backoffice.wording import day
from contextmcp.common.errors import NotFound
from contextmcp.common.money import format_amount

from .base import ActionForm, ConfirmedRequest, OrganizationFacts, Preview, Row
from .fields import choice_field, minor_units, money_field
from .stripe_action import StripeAction, staff_request


class CreditForm(ActionForm):
    direction = choice_field("Change", choices=[("add", "Add credit"), ("remove", "Remove credit")])
    amount = money_field("Amount")

    def prepare(self) -> None:
        self.currency = credit.currency_of(self.organization)
        self.fields["amount"].label = f"Amount ({self.currency.upper()})"

    def clean_amount(self) -> int:
        return minor_units(self.cleaned_data["amount"], self.currency)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if "amount" in data and data.get("direction") == "remove":
            data["amount"] = -data["amount"]
        return data


class ChangeCredit(StripeAction):
    name = "credit"
    title = "Adjust credit balance"
    permission = "billing.give_credit"
    description = (
        "Changes the customer's balance at Stripe. Credit is applied to upcoming invoices before the payment method is charged. It cannot "
        "be paid out."
    )
    form = CreditForm
    beneficial = True

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        before = credit.current_credit(organization)
        credit.check_currency(before, credit.currency_of(organization))
        credit.check_removal(before, data["amount"])
        after = format_amount(before.amount + data["amount"], before.currency)
        return Preview((Row("Credit", format_amount(before.amount, before.currency), after),))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        after = credit.change_credit(organization, data["amount"], staff_request(confirmed))
        return f"The customer's credit is now {format_amount(after.amount, after.currency)}."


class RefundForm(ActionForm):
    invoice = choice_field("Invoice")
    amount = money_field("Amount", required=False, help_text="Leave empty to refund the remaining amount.")
    cause = choice_field("Reason at Stripe", choices=list(refunds.REASONS.items()))

    def prepare(self) -> None:
        self.invoices = {each.stripe_invoice_id: each for each in refunds.paid_invoices(self.organization)}
        choices = [(key, _describe(invoice)) for key, invoice in self.invoices.items()]
        self.fields["invoice"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        invoice = self.invoices.get(data.get("invoice", ""))
        if invoice and data.get("amount") is not None:
            try:
                data["amount"] = minor_units(data["amount"], invoice.currency)
            except forms.ValidationError as error:
                self.add_error("amount", error)
        return data


class RefundPayment(StripeAction):
    name = "refund"
    title = "Refund a payment"
    permission = "billing.refund_payment"
    description = "Refunds an invoice to its payment method, in full or in part. Stripe's fees are not returned. This cannot be undone."
    form = RefundForm
    beneficial = True
    destructive = True

    def unavailable(self, facts: OrganizationFacts) -> str:
        # A customer who was deleted at Stripe can still get a refund.
        if not is_configured():
            return super().unavailable(facts)
        paid = facts.organization.invoices.filter(status="paid", amount_paid__gt=0).exists()
        return "" if paid else "The organization has no paid invoices."

    def preview(self, organization: Organization, data: dict[str, Any]) -> Preview:
        invoice = _invoice(organization, data["invoice"])
        payment = refunds.refundable_payment(invoice)
        amount = refunds.check_amount(payment, data["amount"])
        before, after = (format_amount(each, payment.currency) for each in (payment.refunded, payment.refunded + amount))
        rows = (
            Row(f"Invoice {invoice}", f"{format_amount(payment.paid, payment.currency)} paid", "not changed"),
            Row("Refunded", before, after),
            Row("Paid back to the customer", "", format_amount(amount, payment.currency)),
        )
        ends = refunds.cancels_subscription(invoice, payment, amount)
        warnings = ["The refund policy ends the subscription immediately after a full refund of the latest payment."] if ends else []
        if not ends and invoice.stripe_subscription_id:
            warnings.append("The subscription continues. To end it, cancel it separately.")
        return Preview(rows, tuple(warnings))

    def perform(self, organization: Organization, data: dict[str, Any], confirmed: ConfirmedRequest) -> str:
        invoice = _invoice(organization, data["invoice"])
        amount = refunds.refund_invoice(invoice, data["amount"], data["cause"], staff_request(confirmed))
        return f"{format_amount(amount, invoice.currency)} of invoice {invoice} was refunded."


def _describe(invoice: Invoice) -> str:
    paid = format_amount(invoice.amount_paid, invoice.currency)
    refunded = f", {format_amount(invoice.amount_refunded, invoice.currency)} refunded" if invoice.amount_refunded else ""
    return f"{invoice}, {day(invoice.created_at)}: {paid}{refunded}"


def _invoice(organization: Organization, key: str) -> Invoice:
    invoice: Invoice | None = organization.invoices.select_related("organization").filter(stripe_invoice_id=key).first()
    if invoice is None:
        raise NotFound("This invoice does not exist.")
    return invoice
