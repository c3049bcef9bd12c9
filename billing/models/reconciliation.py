"""What a comparison with Stripe found."""

from django.db import models
from django.utils import timezone


class ReconciliationRun(models.Model):
    """One comparison. Only a finished run over everybody moves the window of events on."""

    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    events_since = models.DateTimeField(null=True, blank=True)
    dry_run = models.BooleanField(default=False)
    organization = models.ForeignKey("accounts.Organization", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    events_found = models.PositiveIntegerField(default=0)
    customers_compared = models.PositiveIntegerField(default=0)
    last_customer_id = models.CharField(
        max_length=255, blank=True, help_text="The last customer compared; an unfinished run resumes after it."
    )
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"


class Drift(models.Model):
    """One difference between Stripe and us, and whether it was put right."""

    run = models.ForeignKey(ReconciliationRun, on_delete=models.CASCADE, related_name="drifts")
    organization = models.ForeignKey("accounts.Organization", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=40, db_index=True)
    subject = models.CharField(max_length=255)
    expected = models.JSONField(null=True, blank=True, help_text="As Stripe has it.")
    found = models.JSONField(null=True, blank=True, help_text="As it was here.")
    repaired = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
