"""Reconciliation runs and the differences that they found."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class ReconciliationRun(models.Model):
    """One comparison with Stripe.

    The next run looks for missed events since the last finished run that covered all organizations and was not a dry run.
    """

    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    events_since = models.DateTimeField(null=True, blank=True)
    dry_run = models.BooleanField(default=False)
    organization = models.ForeignKey("accounts.Organization", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    missed_events = models.PositiveIntegerField(default=0)
    customers_compared = models.PositiveIntegerField(default=0)
    last_customer_id = models.CharField(
        max_length=255, blank=True, help_text="The last customer compared. The run after an unfinished run resumes with the next customer."
    )
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The user who started the run. Empty for scheduled runs.",
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class Drift(models.Model):
    """One difference between Stripe and the local data, and whether it was repaired."""

    run = models.ForeignKey(ReconciliationRun, on_delete=models.CASCADE, related_name="drifts")
    organization = models.ForeignKey("accounts.Organization", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=40, db_index=True)
    subject = models.CharField(max_length=255)
    expected = models.JSONField(null=True, blank=True, help_text="Value at Stripe.")
    actual = models.JSONField(null=True, blank=True, help_text="Local value before the repair.")
    repaired = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], condition=Q(repaired=False), name="drift_unrepaired"),
            models.Index(fields=["subject"], name="drift_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
