"""Our indexed projection of the subscriptions at Stripe: rebuilt from the mirror, never edited."""

from typing import ClassVar, Self

from django.db import models

ENTITLING = ("trialing", "active", "past_due")
# At Stripe these are over for good; every other status can still come to life.
ENDED = ("canceled", "incomplete_expired")


class SubscriptionQuerySet(models.QuerySet["SubscriptionState"]):
    def live(self) -> Self:
        """Those that are not over at Stripe."""
        return self.exclude(status__in=ENDED)


class SubscriptionState(models.Model):
    """One subscription of an organization as Stripe last had it. Amounts are minor units of `currency`."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="subscriptions")
    stripe_subscription_id = models.CharField(max_length=64, unique=True)
    stripe_customer_id = models.CharField(max_length=64, db_index=True)
    status = models.CharField(max_length=24, db_index=True)
    plan_version = models.ForeignKey("entitlements.PlanVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    interval = models.CharField(max_length=8, blank=True)
    stripe_price_id = models.CharField(max_length=64, db_index=True, blank=True)
    stripe_item_id = models.CharField(max_length=64, blank=True)
    overage_item_id = models.CharField(max_length=64, blank=True, help_text="The metered item beside the plan, where overage is on.")
    schedule_id = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    unit_amount = models.BigIntegerField(null=True, blank=True)
    discounts = models.JSONField(default=list, blank=True)
    started_at = models.DateTimeField()
    current_period_start = models.DateTimeField(null=True, blank=True)
    current_period_end = models.DateTimeField(null=True, blank=True)
    anchor = models.DateTimeField(help_text="Monthly usage periods run from here.")
    trial_start = models.DateTimeField(null=True, blank=True)
    trial_end = models.DateTimeField(null=True, blank=True)
    cancel_at = models.DateTimeField(null=True, blank=True)
    canceled_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    past_due_since = models.DateTimeField(null=True, blank=True)
    grace_until = models.DateTimeField(null=True, blank=True)
    upcoming_change = models.JSONField(null=True, blank=True, help_text="What a schedule at Stripe will change, and when.")
    latest_invoice_id = models.CharField(max_length=64, blank=True)
    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["organization", "status"], name="subscription_of_organization")]

    def __str__(self) -> str:
        return f"{self.stripe_subscription_id} {self.status}"

    @property
    def plan(self) -> str:
        """The plan's name; empty where the price is none of ours."""
        return self.plan_version.plan if self.plan_version else ""

    @property
    def is_live(self) -> bool:
        return self.status not in ENDED
