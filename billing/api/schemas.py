"""Request and response schemas of the billing endpoints. Amounts are in the minor unit of the object's `currency`."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import Invoice
from billing.subscriptions.preview import line
from billing.types import ChangePreview, Subscription
from contextmcp.common.api import Schema
from contextmcp.common.money import format_amount
from entitlements import examples
from entitlements.catalog import CATALOG

from .overage_schemas import OverageSchema

INTERVALS = ["month", "year"]


_PAID_PLANS = [plan.name for plan in CATALOG.plans if plan.prices] or [examples.PLAN.name]


@extend_schema_field({"type": "string", "enum": _PAID_PLANS, "examples": _PAID_PLANS[:1]})
class PlanField(serializers.CharField):
    """The name of a paid plan. An unknown name raises `PlanNotSold` in the service, which lists the valid names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=40, **options)


class CheckoutRequestSchema(Schema):
    """The subscription to start."""

    plan_tier = PlanField(help_text="Name of the plan to subscribe to.")
    interval = serializers.ChoiceField(choices=INTERVALS, default="month", help_text="Billing interval.")
    promotion_code = serializers.CharField(
        required=False, allow_blank=True, max_length=100, default="", help_text="Promotion code as the customer enters it. Empty: none."
    )


class CheckoutSessionSchema(Schema):
    """A Stripe Checkout session."""

    session_id = serializers.CharField(help_text="ID of the Checkout session at Stripe.")
    url = serializers.URLField(help_text="URL of the Checkout page. Redirect the customer to it.")


class PortalSessionSchema(Schema):
    """A session of Stripe's customer portal."""

    url = serializers.URLField(help_text="URL of the customer portal. It is valid for a few minutes.")


class EmptySchema(Schema):
    """An empty request body: `{}` or no body."""


class UpcomingChangeSchema(Schema):
    """A plan change or cancellation that is scheduled for a later time."""

    kind = serializers.ChoiceField(choices=["plan", "cancellation"], help_text="What changes: the plan, or the subscription is canceled.")
    at = serializers.DateTimeField(help_text="When the change takes effect.")
    plan = serializers.CharField(help_text="Plan after the change.")
    interval = serializers.CharField(allow_null=True, help_text="Billing interval after the change. null for a cancellation.")
    amount = serializers.IntegerField(
        allow_null=True, help_text="Price per interval after the change, in minor units. null for a cancellation."
    )


class PendingChangeSchema(Schema):
    """A plan change that waits for the confirmation of its payment."""

    plan = serializers.CharField(help_text="Plan after the change.")
    interval = serializers.CharField(allow_null=True, help_text="Billing interval after the change.")
    amount = serializers.IntegerField(allow_null=True, help_text="Amount due for the change, in minor units.")
    currency = serializers.CharField(help_text="Three-letter currency code, in lowercase.")
    url = serializers.CharField(help_text="URL of the page where the customer confirms the payment.")
    expires_at = serializers.DateTimeField(help_text="The change is discarded if the payment is not confirmed by this time.")


class PaymentMethodSchema(Schema):
    """The payment method that is charged for renewals."""

    type = serializers.CharField(
        help_text='Stripe payment method type, such as "card", "link", "sepa_debit", "us_bank_account" or "paypal".'
    )
    display_name = serializers.CharField(help_text='Display name, such as "Visa ending in 4242".')
    brand = serializers.CharField(allow_null=True, help_text="Card brand. null for other types.")
    last4 = serializers.CharField(allow_null=True, help_text="Last four digits of a card or bank account.")
    exp_month = serializers.IntegerField(allow_null=True, help_text="Month in which a card expires, 1 to 12.")
    exp_year = serializers.IntegerField(allow_null=True, help_text="Year in which a card expires, with four digits.")


class DiscountSchema(Schema):
    """A discount of the subscription."""

    coupon = serializers.CharField(allow_null=True, default=None, help_text="ID of the coupon at Stripe.")
    name = serializers.CharField(allow_null=True, default=None, help_text="Display name of the coupon.")
    code = serializers.CharField(allow_null=True, default=None, help_text="The promotion code that was redeemed.")
    percent_off = serializers.FloatField(allow_null=True, default=None, help_text="Discount in percent. null for a fixed amount.")
    amount_off = serializers.IntegerField(allow_null=True, default=None, help_text="Amount in the minor unit of `currency`.")
    currency = serializers.CharField(allow_null=True, default=None, help_text="Currency of `amountOff`.")
    duration = serializers.CharField(allow_null=True, default=None, help_text='"once", "repeating" or "forever".')
    end = serializers.IntegerField(allow_null=True, default=None, help_text="When the discount ends, as a Unix timestamp in seconds.")


class OverLimitSchema(Schema):
    """A feature whose usage exceeds the plan's limit."""

    feature = serializers.CharField(help_text="Name of the feature.")
    used = serializers.IntegerField(help_text="Units in use.")
    limit = serializers.IntegerField(help_text="Units included in the plan.")


class CollectionPauseSchema(Schema):
    """A pause of payment collection."""

    behavior = serializers.ChoiceField(
        choices=["keep_as_draft", "mark_uncollectible", "void"], help_text="How Stripe treats invoices while collection is paused."
    )
    resumes_at = serializers.DateTimeField(allow_null=True, help_text="When collection resumes. null if no date is set.")


class SubscriptionSchema(Schema):
    """A subscription, or its absence."""

    plan = serializers.CharField(help_text="Name of the current plan.")
    plan_version = serializers.IntegerField(allow_null=True, help_text="Version of the current plan.")
    status = serializers.CharField(help_text='Stripe subscription status, or "none" without a subscription.')
    interval = serializers.CharField(allow_null=True, help_text='Billing interval, "month" or "year".')
    amount = serializers.IntegerField(allow_null=True, help_text="Price per interval for the full quantity, before discounts and tax.")
    quantity = serializers.IntegerField(allow_null=True, help_text="Quantity of the plan.")
    discounted_amount = serializers.IntegerField(
        allow_null=True, help_text="Price per interval after the discounts that apply at the next renewal, before tax."
    )
    currency = serializers.CharField(allow_null=True, help_text="Three-letter currency code, in lowercase.")
    formatted_amount = serializers.SerializerMethodField(method_name="get_formatted_amount", help_text="`amount` formatted for display.")
    current_period_start = serializers.DateTimeField(allow_null=True, help_text="Start of the current billing period.")
    current_period_end = serializers.DateTimeField(allow_null=True, help_text="End of the current billing period.")
    trial_end = serializers.DateTimeField(allow_null=True, help_text="End of the trial, or of a free period that was added later.")
    trial_available = serializers.BooleanField(help_text="Whether a new subscription would start with a trial.")
    cancel_at = serializers.DateTimeField(allow_null=True, help_text="When a scheduled cancellation takes effect.")
    canceled_at = serializers.DateTimeField(allow_null=True, help_text="When the cancellation was requested.")
    ended_at = serializers.DateTimeField(allow_null=True, help_text="When the subscription ended.")
    past_due_since = serializers.DateTimeField(allow_null=True, help_text="When the missing payment first failed.")
    grace_until = serializers.DateTimeField(
        allow_null=True, help_text="End of the grace period after a failed payment. Access continues until then."
    )
    invoice_url = serializers.CharField(
        allow_null=True, help_text="URL where the unpaid invoice can be paid. null if no payment is missing."
    )
    collection_pause = CollectionPauseSchema(allow_null=True, help_text="Set while payment collection is paused. The plan remains active.")
    upcoming_change = UpcomingChangeSchema(allow_null=True, help_text="A scheduled plan change or cancellation.")
    pending_change = PendingChangeSchema(allow_null=True, help_text="A plan change that is applied once its payment is confirmed.")
    discounts = DiscountSchema(many=True, help_text="Discounts of the subscription.")
    payment_method = PaymentMethodSchema(allow_null=True, help_text="Payment method that is charged for renewals.")
    overage = OverageSchema(allow_null=True, help_text="Overage setting. null if the plan does not offer overage.")
    over_limits = OverLimitSchema(many=True, help_text="Features whose usage exceeds the plan's limit. The excess is read-only.")

    def get_formatted_amount(self, answer: Subscription) -> str | None:
        """Return `amount` formatted for display, or None without a subscription."""
        return None if answer.amount is None or answer.currency is None else format_amount(answer.amount, answer.currency)


class ChangeRequestSchema(Schema):
    """The plan to change to."""

    plan_tier = PlanField(help_text="Name of the plan to change to.")
    interval = serializers.ChoiceField(choices=INTERVALS, default="month", help_text="Billing interval after the change.")


class ChangePlanRequestSchema(ChangeRequestSchema):
    """The plan to change to, and the preview that the change is based on."""

    proration_date = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="`prorationDate` of the preview, so that the invoice matches it exactly."
    )


class LineSchema(Schema):
    """A line of an invoice."""

    description = serializers.CharField(help_text="Text of the line.")
    amount = serializers.IntegerField(help_text="Amount in minor units. Negative for a credit.")
    quantity = serializers.IntegerField(allow_null=True, help_text="Billed quantity.")
    period_start = serializers.DateTimeField(allow_null=True, help_text="Start of the period that the line bills.")
    period_end = serializers.DateTimeField(allow_null=True, help_text="End of the period that the line bills.")
    proration = serializers.BooleanField(help_text="Whether the line is a proration.")


class ChangePreviewSchema(Schema):
    """The effect of a plan change."""

    plan = serializers.CharField(help_text="Plan after the change.")
    interval = serializers.CharField(help_text="Billing interval after the change.")
    when = serializers.ChoiceField(choices=["now", "period_end"], help_text="Whether the change is immediate or scheduled.")
    effective_at = serializers.DateTimeField(help_text="When the change takes effect.")
    due_now = serializers.IntegerField(help_text="Amount charged immediately, in minor units.")
    credit = serializers.IntegerField(help_text="Amount credited to the customer's balance, in minor units.")
    currency = serializers.CharField(help_text="Three-letter currency code, in lowercase.")
    formatted_due_now = serializers.SerializerMethodField(method_name="get_formatted_due_now", help_text="`dueNow` formatted for display.")
    lines = LineSchema(many=True, help_text="Lines of the invoice for the change.")
    next_amount = serializers.IntegerField(help_text="Price at `nextAt` for the full quantity, after discounts, including tax.")
    next_at = serializers.DateTimeField(allow_null=True, help_text="When the new price is next charged in full.")
    proration_date = serializers.DateTimeField(allow_null=True, help_text="Pass this value to the plan change within 15 minutes.")
    over_limits = OverLimitSchema(many=True, help_text="Features whose usage would exceed the new plan's limit.")

    def get_formatted_due_now(self, answer: ChangePreview) -> str:
        """Return `dueNow` formatted for display."""
        return format_amount(answer.due_now, answer.currency)


class CancelRequestSchema(Schema):
    """When to cancel."""

    at = serializers.ChoiceField(choices=["period_end", "now"], default="period_end", help_text="When the subscription is canceled.")


class InvoiceSchema(Schema):
    """An invoice."""

    id = serializers.CharField(source="stripe_invoice_id", help_text="ID of the invoice at Stripe.")
    number = serializers.CharField(help_text="Invoice number for customers.")
    status = serializers.CharField(help_text='"open", "paid", "void" or "uncollectible".')
    currency = serializers.CharField(help_text="Three-letter currency code, in lowercase. All amounts are in its minor unit.")
    subtotal = serializers.IntegerField(help_text="Sum of the lines, before discounts and tax.")
    discount = serializers.IntegerField(help_text="Sum of the discounts.")
    tax = serializers.IntegerField(help_text="Sum of the taxes.")
    total = serializers.IntegerField(help_text="Total after discounts and tax.")
    amount_due = serializers.IntegerField(help_text="Amount to be paid after credits.")
    amount_paid = serializers.IntegerField(help_text="Amount that was paid.")
    amount_remaining = serializers.IntegerField(help_text="Amount that is still to be paid.")
    amount_refunded = serializers.IntegerField(help_text="Amount that was refunded.")
    formatted_total = serializers.SerializerMethodField(method_name="get_formatted_total", help_text="`total` formatted for display.")
    created_at = serializers.DateTimeField(help_text="When the invoice was created.")
    due_at = serializers.DateTimeField(allow_null=True, help_text="Due date. null if the invoice is charged automatically.")
    paid_at = serializers.DateTimeField(allow_null=True, help_text="When the invoice was paid.")
    period_start = serializers.DateTimeField(allow_null=True, help_text="Start of the period in which the invoice's items were added.")
    period_end = serializers.DateTimeField(allow_null=True, help_text="End of the period in which the invoice's items were added.")
    lines = serializers.SerializerMethodField(method_name="get_lines", help_text="Lines of the invoice.")
    url = serializers.CharField(source="hosted_url", help_text="URL of the page where the invoice can be viewed and paid.")
    pdf_url = serializers.CharField(help_text="URL of the PDF.")

    def get_formatted_total(self, invoice: Invoice) -> str:
        """Return `total` formatted for display."""
        return format_amount(invoice.total, invoice.currency)

    @extend_schema_field(LineSchema(many=True))
    def get_lines(self, invoice: Invoice) -> Any:
        """Return the lines as JSON."""
        return LineSchema([line(each) for each in invoice.lines], many=True).data
