"""Recurring revenue: the log of subscription changes, and the daily figures that are calculated from it.

Recurring amounts are stored per year, in minor units of their currency, because the yearly amount of a monthly price (12 times the price)
and of a yearly price is a whole number, and a twelfth of a yearly price may not be. Monthly figures are a twelfth of the stored amounts,
rounded only for display. See docs/revenue.md.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class SubscriptionChange(models.Model):
    """The recurring charges of a subscription from `effective_at` until its next change. Append-only; the sync writes it.

    `effective_at` is the time of the event at Stripe, by the organization's clock, with microseconds that keep the order within a second.
    Rows of one subscription are ordered by `effective_at` and `id`. When an event of a recorded second arrives late, all events of that
    second are appended again in their order with a higher `revision`, and the lower revisions no longer count.
    """

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="subscription_changes")
    stripe_subscription_id = models.CharField(max_length=64)
    effective_at = models.DateTimeField()
    event_id = models.CharField(
        max_length=255, blank=True, help_text="The Stripe event. Empty if a sync found the change without an event."
    )
    revision = models.PositiveIntegerField(default=0)
    status = models.CharField(max_length=24, help_text="Stripe's status of the subscription.")
    plan_version = models.ForeignKey("entitlements.PlanVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    prices = models.JSONField(
        default=list, help_text="Amount per interval (minor units, quantity included), interval and interval count of each licensed item."
    )
    discounts = models.JSONField(default=list, help_text="The subscription's discounts in the order in which Stripe applies them.")
    on_first_trial = models.BooleanField(default=False, help_text="Whether the current trial began with the subscription.")
    collection_paused = models.BooleanField(default=False)
    collection_resumes_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        ordering: ClassVar = ["effective_at", "id"]
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["event_id", "revision"], condition=~Q(event_id=""), name="subscription_change_unique_event")
        ]
        indexes: ClassVar = [models.Index(fields=["stripe_subscription_id", "effective_at", "id"], name="subscription_change_in_order")]

    def __str__(self) -> str:
        return f"{self.stripe_subscription_id} {self.status} from {self.effective_at:%Y-%m-%d %H:%M}"


class RevenueSnapshot(models.Model):
    """The recurring revenue of one subscription at the end of each day (UTC) from `first_day` to `last_day`.

    Days with equal values share a row, so that a subscription without changes costs one row. `last_day` is empty if no end is known. If a
    discount ends on a known date, a row that starts in the future exists. Calculated from `SubscriptionChange`.
    """

    class State(models.TextChoices):
        ACTIVE = "active"
        PAST_DUE = "past_due"
        TRIAL = "trial"
        PAUSED = "paused"  # payment collection is paused

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="+", db_index=False)
    stripe_subscription_id = models.CharField(max_length=64)
    first_day = models.DateField()
    last_day = models.DateField(null=True, blank=True)
    currency = models.CharField(max_length=3)
    plan = models.CharField(max_length=40, blank=True)
    version = models.PositiveIntegerField(null=True, blank=True)
    interval = models.CharField(max_length=8, blank=True)
    state = models.CharField(max_length=8, choices=State.choices)
    annual_amount = models.BigIntegerField(help_text="Minor units per year, after repeating discounts and before tax.")

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [models.UniqueConstraint(fields=["stripe_subscription_id", "first_day"], name="revenue_snapshot_unique")]
        indexes: ClassVar = [
            models.Index(fields=["organization", "currency", "first_day"], name="revenue_by_organization"),
            models.Index(fields=["first_day"], name="revenue_by_first_day"),
            models.Index(fields=["last_day"], name="revenue_by_last_day"),
        ]

    def __str__(self) -> str:
        return f"{self.stripe_subscription_id} {self.state} from {self.first_day}"


class RevenueMovement(models.Model):
    """The change of one organization's recurring revenue from the end of the previous day to the end of `day`."""

    class Kind(models.TextChoices):
        NEW = "new"
        EXPANSION = "expansion"
        CONTRACTION = "contraction"
        CHURN = "churn"
        REACTIVATION = "reactivation"

    day = models.DateField()
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    annual_before = models.BigIntegerField()
    annual_after = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [models.UniqueConstraint(fields=["day", "organization", "currency"], name="revenue_movement_unique")]

    def __str__(self) -> str:
        return f"{self.kind} on {self.day}"


class RevenueDay(models.Model):
    """The totals of one day (UTC) and currency. Recurring amounts are minor units per year, `overage` is minor units invoiced that day."""

    day = models.DateField()
    currency = models.CharField(max_length=3)
    opening = models.BigIntegerField()
    new = models.BigIntegerField(default=0)
    expansion = models.BigIntegerField(default=0)
    contraction = models.BigIntegerField(default=0)
    churn = models.BigIntegerField(default=0)
    reactivation = models.BigIntegerField(default=0)
    closing = models.BigIntegerField()
    at_risk = models.BigIntegerField(default=0, help_text="The part of `closing` whose payment is past due.")
    customers = models.PositiveIntegerField(default=0, help_text="Organizations with recurring revenue at the end of the day.")
    new_customers = models.PositiveIntegerField(default=0)
    reactivated_customers = models.PositiveIntegerField(default=0)
    lost_customers = models.PositiveIntegerField(default=0)
    trials = models.PositiveIntegerField(default=0, help_text="Subscriptions in a trial at the end of the day.")
    trials_started = models.PositiveIntegerField(default=0)
    trials_converted = models.PositiveIntegerField(default=0)
    trials_lost = models.PositiveIntegerField(default=0)
    overage = models.BigIntegerField(default=0)
    computed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["day", "currency"]
        # Unlike the view permissions of models, it is not part of every staff role (contextmcp.backoffice.roles).
        default_permissions = ()
        permissions: ClassVar = [("view_revenue", "Can view revenue figures and download them")]
        constraints: ClassVar = [models.UniqueConstraint(fields=["day", "currency"], name="revenue_day_unique")]

    def __str__(self) -> str:
        return f"{self.day} {self.currency}"


class RevenuePlanDay(models.Model):
    """The part of a day's totals that belongs to one plan, interval and state."""

    day = models.DateField()
    currency = models.CharField(max_length=3)
    plan = models.CharField(max_length=40, blank=True)
    interval = models.CharField(max_length=8, blank=True)
    state = models.CharField(max_length=8, choices=RevenueSnapshot.State.choices)
    subscriptions = models.PositiveIntegerField()
    annual_amount = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["day", "currency", "plan", "interval", "state"], name="revenue_plan_day_unique")
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.plan} {self.state}"
