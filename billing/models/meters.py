"""The outbox to Stripe's meters."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class MeterReport(models.Model):
    """`units` of overage to report, once. The identifier is Stripe's guard against a repeat; the timestamp lies inside the period."""

    class State(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        DEAD = "dead"  # Stripe no longer takes it: too old, or refused

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="meter_reports")
    feature = models.CharField(max_length=60)
    stripe_customer_id = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    sequence = models.PositiveIntegerField(help_text="Reports of one period are numbered from 1.")
    units = models.BigIntegerField()
    identifier = models.CharField(max_length=100, unique=True)
    timestamp = models.DateTimeField()
    repair = models.BooleanField(default=False, help_text="Made because Stripe's total differed: it says nothing new about what was sold.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    first_sent_at = models.DateTimeField(null=True, blank=True, help_text="A repeat is only safe within a day of this.")
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature", "period_start", "sequence"], name="meter_report_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], condition=Q(state="pending"), name="meter_waiting")]

    def __str__(self) -> str:
        return self.identifier
