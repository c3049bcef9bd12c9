"""The mapping from Stripe prices to plan versions."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class PlanPrice(models.Model):
    """One Stripe price of a plan version. New purchases use the `current` price; subscribers keep theirs. `amount` is in minor units."""

    OVERAGE: ClassVar = "overage"

    plan_version = models.ForeignKey("entitlements.PlanVersion", on_delete=models.PROTECT, related_name="+")
    interval = models.CharField(max_length=8, help_text='"month", "year", or "overage" for the metered price of usage beyond the quota.')
    feature = models.CharField(max_length=60, blank=True, help_text="The metered feature of an overage price.")
    stripe_price_id = models.CharField(max_length=64, unique=True)
    stripe_product_id = models.CharField(max_length=64, blank=True)
    lookup_key = models.CharField(max_length=100, blank=True)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["plan_version", "interval"]
        permissions: ClassVar = [("publish_plans", "Can publish the plans of the catalog")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["plan_version", "interval", "feature"], condition=Q(current=True), name="price_unique_current"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_version} {self.interval}"
