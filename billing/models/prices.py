"""Which price at Stripe stands for which plan version."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class PlanPrice(models.Model):
    """Several prices may stand for one plan version over the years; one of them is `current`, the others keep their subscribers."""

    OVERAGE: ClassVar = "overage"

    plan_version = models.ForeignKey("entitlements.PlanVersion", on_delete=models.PROTECT, related_name="+")
    interval = models.CharField(max_length=8, help_text='"month", "year", or "overage" for the metered price of what goes beyond.')
    feature = models.CharField(max_length=60, blank=True, help_text="For overage: the metered feature.")
    stripe_price_id = models.CharField(max_length=64, unique=True)
    stripe_product_id = models.CharField(max_length=64, blank=True)
    lookup_key = models.CharField(max_length=100, blank=True)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["plan_version", "interval"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["plan_version", "interval", "feature"], condition=Q(current=True), name="price_one_current"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_version} {self.interval}"
