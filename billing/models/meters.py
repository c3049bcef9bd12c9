"""The outbox of meter events for Stripe."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class MeterReport(models.Model):
    """One meter event of `units` of overage. Stripe deduplicates by `identifier`; `timestamp` lies within the usage period."""

    class State(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        DEAD = "dead"  # Stripe does not accept it: too old, or rejected

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="meter_reports")
    feature = models.CharField(max_length=60)
    stripe_customer_id = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    sequence = models.PositiveIntegerField(help_text="Number of the report within its period, from 1.")
    units = models.BigIntegerField()
    identifier = models.CharField(max_length=100, unique=True)
    timestamp = models.DateTimeField()
    repair = models.BooleanField(default=False, help_text="Created because Stripe's meter total differed. It is not additional usage.")
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    first_sent_at = models.DateTimeField(null=True, blank=True, help_text="Stripe deduplicates repeats for 24 hours after this time.")
    sent_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature", "period_start", "sequence"], name="meter_report_unique"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["created_at"], condition=Q(state="pending"), name="meter_report_pending"),
            models.Index(fields=["-created_at"], condition=Q(state="dead"), name="meter_report_dead"),
            models.Index(fields=["-id"], condition=Q(repair=True), name="meter_report_repairs"),
        ]

    def __str__(self) -> str:
        return self.identifier
