"""Bodies of the billing endpoints. Amounts are minor units of the currency beside them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import Invoice
from billing.services.preview import line
from billing.types import ChangePreview, Subscription
from contextmcp.common.api import Schema
from contextmcp.common.money import format_amount
from entitlements.catalog import CATALOG

INTERVALS = ["month", "year"]


@extend_schema_field({"type": "string", "enum": [plan.name for plan in CATALOG.plans if plan.prices], "examples": ["pro"]})
class PlanField(serializers.CharField):
    """A plan that is sold. Another name is refused where plans are chosen, with the names there are."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=40, **options)


class CheckoutRequestSchema(Schema):
    plan_tier = PlanField()
    interval = serializers.ChoiceField(choices=INTERVALS, default="month")
    promotion_code = serializers.CharField(required=False, allow_blank=True, max_length=100, default="")


class CheckoutSessionSchema(Schema):
    session_id = serializers.CharField()
    url = serializers.URLField(help_text="Send the customer here to pay.")


class PortalSessionSchema(Schema):
    url = serializers.URLField()


class NothingSchema(Schema):
    """A body that says nothing: `{}` or none at all."""


class UpcomingChangeSchema(Schema):
    kind = serializers.ChoiceField(choices=["plan", "cancellation"])
    at = serializers.DateTimeField()
    plan = serializers.CharField()
    interval = serializers.CharField(allow_null=True)
    amount = serializers.IntegerField(allow_null=True)


class PaymentMethodSchema(Schema):
    brand = serializers.CharField()
    last4 = serializers.CharField()
    exp_month = serializers.IntegerField()
    exp_year = serializers.IntegerField()


class DiscountSchema(Schema):
    coupon = serializers.CharField(allow_null=True, default=None)
    name = serializers.CharField(allow_null=True, default=None)
    code = serializers.CharField(allow_null=True, default=None, help_text="The promotion code that was redeemed.")
    percent_off = serializers.FloatField(allow_null=True, default=None)
    amount_off = serializers.IntegerField(allow_null=True, default=None, help_text="In the minor unit of `currency`.")
    currency = serializers.CharField(allow_null=True, default=None)
    duration = serializers.CharField(allow_null=True, default=None)
    end = serializers.IntegerField(allow_null=True, default=None, help_text="When the discount ends, in seconds since 1970.")


class OverageSchema(Schema):
    feature = serializers.CharField()
    enabled = serializers.BooleanField()
    cap = serializers.IntegerField(allow_null=True, help_text="The most that overage may cost a month.")
    unit_amount = serializers.IntegerField()
    currency = serializers.CharField()


class OverLimitSchema(Schema):
    feature = serializers.CharField()
    used = serializers.IntegerField()
    limit = serializers.IntegerField()


class SubscriptionSchema(Schema):
    plan = serializers.CharField()
    plan_version = serializers.IntegerField(allow_null=True)
    status = serializers.CharField(help_text='Stripe\'s status, or "none".')
    interval = serializers.CharField(allow_null=True)
    amount = serializers.IntegerField(allow_null=True, help_text="The price per interval.")
    currency = serializers.CharField(allow_null=True)
    formatted_amount = serializers.SerializerMethodField(method_name="get_formatted_amount")
    current_period_start = serializers.DateTimeField(allow_null=True)
    current_period_end = serializers.DateTimeField(allow_null=True)
    trial_end = serializers.DateTimeField(allow_null=True)
    trial_available = serializers.BooleanField()
    cancel_at = serializers.DateTimeField(allow_null=True)
    canceled_at = serializers.DateTimeField(allow_null=True)
    ended_at = serializers.DateTimeField(allow_null=True)
    past_due_since = serializers.DateTimeField(allow_null=True)
    grace_until = serializers.DateTimeField(allow_null=True, help_text="Access goes on until then although a payment failed.")
    upcoming_change = UpcomingChangeSchema(allow_null=True)
    discounts = DiscountSchema(many=True)
    payment_method = PaymentMethodSchema(allow_null=True)
    overage = OverageSchema(allow_null=True)
    over_limits = OverLimitSchema(many=True, help_text="What is in use beyond the plan. It is read-only, not deleted.")

    def get_formatted_amount(self, answer: Subscription) -> str | None:
        return None if answer.amount is None or answer.currency is None else format_amount(answer.amount, answer.currency)


class ChangeRequestSchema(Schema):
    plan_tier = PlanField()
    interval = serializers.ChoiceField(choices=INTERVALS, default="month")


class ChangePlanRequestSchema(ChangeRequestSchema):
    proration_date = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="That of the preview: then the invoice agrees with it to the cent."
    )


class LineSchema(Schema):
    description = serializers.CharField()
    amount = serializers.IntegerField(help_text="Negative for a credit.")
    quantity = serializers.IntegerField(allow_null=True)
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    proration = serializers.BooleanField()


class ChangePreviewSchema(Schema):
    plan = serializers.CharField()
    interval = serializers.CharField()
    when = serializers.ChoiceField(choices=["now", "period_end"])
    effective_at = serializers.DateTimeField()
    due_now = serializers.IntegerField(help_text="What is charged at once.")
    credit = serializers.IntegerField(help_text="What is credited to the customer's balance.")
    currency = serializers.CharField()
    formatted_due_now = serializers.SerializerMethodField(method_name="get_formatted_due_now")
    lines = LineSchema(many=True)
    next_amount = serializers.IntegerField()
    next_at = serializers.DateTimeField(allow_null=True)
    proration_date = serializers.DateTimeField(allow_null=True, help_text="Send it with the change within 15 minutes.")
    over_limits = OverLimitSchema(many=True)

    def get_formatted_due_now(self, answer: ChangePreview) -> str:
        return format_amount(answer.due_now, answer.currency)


class CancelRequestSchema(Schema):
    at = serializers.ChoiceField(choices=["period_end", "now"], default="period_end")


@extend_schema_field({"type": "boolean", "const": True})
class OnField(serializers.BooleanField): ...


@extend_schema_field({"type": "boolean", "const": False})
class OffField(serializers.BooleanField): ...


class OverageOnSchema(Schema):
    """For the document: turning it on takes a cap."""

    enabled = OnField()
    cap = serializers.IntegerField(min_value=1, max_value=100_000_000, help_text="Minor units a month.")


class OverageOffSchema(Schema):
    """For the document."""

    enabled = OffField()
    cap = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=100_000_000)


class OverageRequestSchema(Schema):
    enabled = serializers.BooleanField()
    cap = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=1, max_value=100_000_000, help_text="Minor units a month."
    )


class InvoiceSchema(Schema):
    id = serializers.CharField(source="stripe_invoice_id")
    number = serializers.CharField()
    status = serializers.CharField(help_text="open, paid, void or uncollectible.")
    currency = serializers.CharField()
    subtotal = serializers.IntegerField()
    discount = serializers.IntegerField()
    tax = serializers.IntegerField()
    total = serializers.IntegerField()
    amount_due = serializers.IntegerField()
    amount_paid = serializers.IntegerField()
    amount_remaining = serializers.IntegerField()
    refunded = serializers.IntegerField()
    formatted_total = serializers.SerializerMethodField(method_name="get_formatted_total")
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    paid_at = serializers.DateTimeField(allow_null=True)
    period_start = serializers.DateTimeField(allow_null=True)
    period_end = serializers.DateTimeField(allow_null=True)
    lines = serializers.SerializerMethodField(method_name="get_lines")
    url = serializers.CharField(source="hosted_url", help_text="Where it can be seen and paid.")
    pdf_url = serializers.CharField()

    def get_formatted_total(self, invoice: Invoice) -> str:
        return format_amount(invoice.total, invoice.currency)

    @extend_schema_field(LineSchema(many=True))
    def get_lines(self, invoice: Invoice) -> Any:
        return LineSchema([line(each) for each in invoice.lines], many=True).data
