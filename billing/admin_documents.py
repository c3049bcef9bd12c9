"""Admin pages of invoices, adjustments, Checkout attempts, actions, notifications, prices and meter reports."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.authentication import staff
from billing.documents.stripe_documents import to_datetime
from contextmcp.common.admin_base import ORGANIZATION_PATHS, OrganizationRowsAdmin, ReadOnlyAdmin, confirmed_action
from contextmcp.common.admin_filters import choices_filter, indexed_values_filter
from contextmcp.common.admin_forms import ReasonModelForm
from contextmcp.common.errors import DomainError
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG

from .admin_base import ADJUSTMENT_STATUSES, BILLING_REASONS, INTERVALS, INVOICE_STATUSES, RedactedPage, amount
from .catalog import prices
from .models import Adjustment, BillingAction, BillingNotification, CheckoutAttempt, Invoice, MeterReport, PlanPrice
from .notifications import deliver

_COLUMNS = ("Description", "Quantity", "From", "To", "Amount")
_INVOICE_LINES = "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>"
_HEAD = '<th class="text-left pr-4">{}</th>'
_LINE = "<tr>" + '<td class="pr-4">{}</td>' * len(_COLUMNS) + "</tr>"


@admin.register(Invoice)
class InvoiceAdmin(RedactedPage, OrganizationRowsAdmin):
    list_display = ("number", "organization", "status", "total_shown", "amount_refunded_shown", "attempt_count", "created_at", "paid_at")
    ordering = ("-created_at", "-id")
    list_filter = (
        choices_filter("status", lambda: INVOICE_STATUSES),
        choices_filter("billing_reason", lambda: BILLING_REASONS),
        choices_filter("currency", lambda: sorted(set(PlanPrice.objects.values_list("currency", flat=True)))),
        "created_at",
    )
    search_fields = (*ORGANIZATION_PATHS, "number__istartswith", "stripe_invoice_id", "stripe_subscription_id", "payment_ids__has_word")
    fields = (
        "organization",
        "number",
        "status",
        "billing_reason",
        "currency",
        "formatted_lines",
        "subtotal_shown",
        "discount_shown",
        "tax_shown",
        "total_shown",
        "amount_due_shown",
        "amount_paid_shown",
        "amount_remaining_shown",
        "amount_refunded_shown",
        "attempt_count",
        "next_payment_attempt",
        "period_start",
        "period_end",
        "created_at",
        "due_at",
        "finalized_at",
        "paid_at",
        "stripe_invoice_id",
        "stripe_subscription_id",
        "payment_ids",
        "hosted_page",
    )
    readonly_fields = fields
    subtotal_shown = amount("subtotal")
    discount_shown = amount("discount")
    tax_shown = amount("tax")
    total_shown = amount("total")
    amount_due_shown = amount("amount_due")
    amount_paid_shown = amount("amount_paid")
    amount_remaining_shown = amount("amount_remaining")
    amount_refunded_shown = amount("amount_refunded")

    @admin.display(description="lines")
    def formatted_lines(self, invoice: Invoice) -> SafeString:
        rows = (
            (
                f"{line['description']} (proration)" if line.get("proration") else line["description"],
                line.get("quantity") or "",
                day(line["period_start"]),
                day(line["period_end"]),
                format_amount(line["amount"], invoice.currency),
            )
            for line in invoice.lines
        )
        return format_html(_INVOICE_LINES, format_html_join("", _HEAD, ([name] for name in _COLUMNS)), format_html_join("", _LINE, rows))

    @admin.display(description="hosted page")
    def hosted_page(self, invoice: Invoice) -> str:
        link = '<a href="{}" rel="noreferrer">Open at Stripe</a>'
        return format_html(link, invoice.hosted_url) if invoice.hosted_url.startswith(("https://", "http://")) else ""


@admin.register(Adjustment)
class AdjustmentAdmin(OrganizationRowsAdmin):
    list_display = ("stripe_id", "kind", "organization", "status", "reason", "amount_shown", "created_at")
    ordering = ("-created_at", "-id")
    list_filter = ("kind", choices_filter("status", lambda: ADJUSTMENT_STATUSES), "created_at")
    search_fields = (*ORGANIZATION_PATHS, "stripe_id", "stripe_charge_id", "stripe_payment_intent_id", "stripe_invoice_id")
    fields = (
        "organization",
        "kind",
        "status",
        "reason",
        "amount_shown",
        "currency",
        "created_at",
        "stripe_id",
        "stripe_charge_id",
        "stripe_payment_intent_id",
        "stripe_invoice_id",
    )
    readonly_fields = fields
    amount_shown = amount("amount")


@admin.register(CheckoutAttempt)
class CheckoutAttemptAdmin(RedactedPage, OrganizationRowsAdmin):
    list_display = ("id", "organization", "plan", "interval", "state", "created_by", "created_at")
    list_filter = ("state", choices_filter("plan", lambda: [plan.name for plan in CATALOG.plans if plan.prices]))
    list_select_related = ("organization", "created_by")
    search_fields = (*ORGANIZATION_PATHS, "id", "session_id", "created_by__email__startswith")


@admin.register(BillingAction)
class BillingActionAdmin(RedactedPage, OrganizationRowsAdmin):
    list_display = ("id", "kind", "organization", "state", "error", "created_by", "created_at")
    list_filter = ("state", indexed_values_filter("kind"))
    list_select_related = ("organization", "created_by")
    search_fields = (*ORGANIZATION_PATHS, "id", "created_by__email__startswith")


@admin.register(BillingNotification)
class BillingNotificationAdmin(RedactedPage, OrganizationRowsAdmin):
    actions = ("retry",)
    list_display = ("kind", "organization", "object_id", "due_at", "sent_at", "canceled_at", "attempts", "error")
    list_filter = (indexed_values_filter("kind"), ("sent_at", admin.EmptyFieldListFilter))
    search_fields = (*ORGANIZATION_PATHS, "object_id")

    @confirmed_action(
        "Retry the billing email",
        permission="common.change_outgoingemail",
        effect="Delivery of these emails is attempted again. Emails that no longer apply are not sent. Fix the error first.",
        done=("billing email queued", "billing emails queued"),
    )
    def retry(self, request: HttpRequest, email: BillingNotification, reason: str) -> None:
        deliver.retry(email, staff(request), reason)


class PlanPriceForm(ReasonModelForm):
    """Form that maps a price that was created at Stripe to a plan version."""

    class Meta:
        model = PlanPrice
        fields = ("plan_version", "stripe_price_id")

    def clean_stripe_price_id(self) -> str:
        price_id = str(self.cleaned_data["stripe_price_id"]).strip()
        try:
            prices.require_registrable_price(price_id)
        except DomainError as error:
            raise forms.ValidationError(error.text) from error
        return price_id


@admin.register(PlanPrice)
class PlanPriceAdmin(ReadOnlyAdmin):
    """Published prices. Staff can register a price that was created in the Stripe dashboard, so that its subscribers get the plan."""

    form = PlanPriceForm
    recent_authentication = True
    list_display = ("plan_version", "interval", "feature", "stripe_price_id", "amount_shown", "current")
    list_filter = ("current", choices_filter("interval", lambda: (*INTERVALS, PlanPrice.OVERAGE)))
    list_select_related = ("plan_version",)
    search_fields = ("stripe_price_id", "stripe_product_id", "lookup_key")
    detail_fields = (
        "plan_version",
        "interval",
        "feature",
        "amount_shown",
        "currency",
        "current",
        "stripe_price_id",
        "stripe_product_id",
        "lookup_key",
        "created_at",
    )
    amount_shown = amount("amount")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("billing.operate_billing")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*PlanPriceForm.Meta.fields, "reason") if obj is None else self.detail_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else self.detail_fields

    def save_model(self, request: HttpRequest, obj: PlanPrice, form: Any, change: bool) -> None:
        obj.pk = prices.register_price(obj.plan_version, obj.stripe_price_id, staff(request), reason=form.cleaned_data["reason"]).pk


@admin.register(MeterReport)
class MeterReportAdmin(OrganizationRowsAdmin):
    list_display = ("identifier", "organization", "feature", "units", "state", "attempts", "sent_at", "error")
    list_filter = ("state", choices_filter("feature", lambda: [meter.name for meter in CATALOG.features]), "repair")
    search_fields = (*ORGANIZATION_PATHS, "identifier", "organization__billing_account__stripe_customer_id")


def day(seconds: Any) -> str:
    """Return the formatted date of a Unix timestamp in seconds; empty for None."""
    at = to_datetime(seconds)
    return date_format(at, "DATE_FORMAT") if at else ""
