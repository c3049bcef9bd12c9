"""The indexed projection of Stripe subscriptions. It is rebuilt from the mirror and never edited."""

from typing import ClassVar, Self

from django.db import models

ENTITLING = ("trialing", "active", "past_due")
# Terminal statuses at Stripe. A subscription in any other status can become active again.
ENDED = ("canceled", "incomplete_expired")


class SubscriptionQuerySet(models.QuerySet["SubscriptionState"]):
    def live(self) -> Self:
        """Return the subscriptions that have not ended at Stripe."""
        return self.exclude(status__in=ENDED)


class SubscriptionState(models.Model):
    """One subscription of an organization as of the last sync. Amounts are minor units of `currency`."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="subscriptions")
    stripe_subscription_id = models.CharField(max_length=64, unique=True)
    stripe_customer_id = models.CharField(max_length=64, db_index=True)
    status = models.CharField(max_length=24, db_index=True)
    plan_version = models.ForeignKey("entitlements.PlanVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    interval = models.CharField(max_length=8, blank=True)
    stripe_price_id = models.CharField(max_length=64, db_index=True, blank=True)
    stripe_item_id = models.CharField(max_length=64, blank=True)
    overage_item_id = models.CharField(max_length=64, blank=True, help_text="The metered subscription item, if overage is enabled.")
    schedule_id = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    unit_amount = models.BigIntegerField(null=True, blank=True)
    quantity = models.PositiveIntegerField(default=1)
    discounts = models.JSONField(default=list, blank=True)
    started_at = models.DateTimeField()
    current_period_start = models.DateTimeField(null=True, blank=True)
    current_period_end = models.DateTimeField(null=True, blank=True)
    anchor = models.DateTimeField(help_text="Start of the first usage month.")
    trial_start = models.DateTimeField(null=True, blank=True)
    trial_end = models.DateTimeField(null=True, blank=True)
    cancel_at = models.DateTimeField(null=True, blank=True)
    canceled_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    past_due_since = models.DateTimeField(null=True, blank=True)
    grace_until = models.DateTimeField(null=True, blank=True)
    collection_paused = models.CharField(
        max_length=20, blank=True, help_text="How Stripe treats invoices while payment collection is paused. Empty if it is not paused."
    )
    collection_resumes_at = models.DateTimeField(
        null=True, blank=True, help_text="When collection resumes. Empty while paused means until staff resume it."
    )
    upcoming_change = models.JSONField(
        null=True, blank=True, help_text="The plan change of the subscription's schedule at Stripe, and its time."
    )
    pending_change = models.JSONField(
        null=True, blank=True, help_text="The plan change that waits for payment confirmation, with the confirmation page and its expiry."
    )
    latest_invoice_id = models.CharField(max_length=64, blank=True)
    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["organization", "status"], name="subscription_by_organization"),
            models.Index(fields=["plan_version", "status"], name="subscription_by_plan_version"),
        ]

    def __str__(self) -> str:
        return f"{self.stripe_subscription_id} {self.status}"

    @property
    def plan(self) -> str:
        """Return the plan's name; empty if the price is unknown here."""
        return self.plan_version.plan if self.plan_version else ""

    @property
    def amount(self) -> int | None:
        """Return the price per interval before discounts and tax; None if the price has no unit amount."""
        return None if self.unit_amount is None else self.unit_amount * self.quantity

    @property
    def is_live(self) -> bool:
        return self.status not in ENDED

    @property
    def on_first_trial(self) -> bool:
        """Return whether nothing was ever paid. Stripe's status is also "trialing" when staff extend a paid period with free days."""
        return self.status == "trialing" and self.trial_start == self.started_at
