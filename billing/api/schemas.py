"""Bodies of the billing endpoints. Amounts are minor units of the currency beside them."""

from rest_framework import serializers

from billing.types import Subscription
from contextmcp.common.api import Schema
from contextmcp.common.money import format_amount

INTERVALS = ["month", "year"]


class CheckoutRequestSchema(Schema):
    plan_tier = serializers.CharField(max_length=40, help_text="pro or enterprise.")
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
    discounts = serializers.ListField(child=serializers.DictField())
    payment_method = PaymentMethodSchema(allow_null=True)
    overage = OverageSchema(allow_null=True)
    over_limits = OverLimitSchema(many=True, help_text="What is in use beyond the plan. It is read-only, not deleted.")

    def get_formatted_amount(self, answer: Subscription) -> str | None:
        return None if answer.amount is None or answer.currency is None else format_amount(answer.amount, answer.currency)
