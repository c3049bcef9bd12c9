"""Alerts that were sent to organizations, and the checkpoints of their evaluation."""

from datetime import UTC, datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from contextmcp.common.ids import uuid7

# A gauge has no period. Its checkpoint is stored under this `period_start`.
NO_PERIOD = datetime(1970, 1, 1, tzinfo=UTC)


class UsageAlert(models.Model):
    """One alert. It is unique per period and kind, so repeated or concurrent evaluations never send it twice."""

    class Kind(models.TextChoices):
        THRESHOLD_50 = "threshold_50", "50% used"
        THRESHOLD_80 = "threshold_80", "80% used"
        THRESHOLD_100 = "threshold_100", "100% used"
        SPIKE = "spike", "Spike"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="usage_alerts", db_index=False)
    feature = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    kind = models.CharField(max_length=16, choices=Kind)
    used = models.BigIntegerField(help_text="Units used in the period or in use; for a spike, units used in its hour.")
    included = models.BigIntegerField(null=True, blank=True, help_text="Units that the plan included when the threshold was reached.")
    baseline = models.FloatField(null=True, blank=True, help_text="For a spike: mean of the hours that it was compared with.")
    hour = models.DateTimeField(null=True, blank=True, help_text="For a spike: start of its hour.")
    occurred_at = models.DateTimeField(help_text="When the alert occurred. For organizations with a Stripe test clock, in test-clock time.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "usage_alerts"
        ordering = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature", "period_start", "kind"], name="usage_alert_unique")
        ]
        indexes: ClassVar = [
            models.Index(fields=["organization", "-created_at"], name="usage_alert_by_organization"),
            models.Index(fields=["-created_at"], condition=Q(kind="spike"), name="usage_alert_spikes"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.feature}"

    @property
    def threshold(self) -> int | None:
        """Return the threshold in percent, or None for a spike."""
        return None if self.kind == self.Kind.SPIKE else int(self.kind.removeprefix("threshold_"))


class AlertCheckpoint(models.Model):
    """The value of a counter or gauge at the last evaluation. Only rows whose value differs from it are evaluated again.

    It is a separate table so that the evaluation and the statements that count never wait for each other's row locks.
    """

    pk = models.CompositePrimaryKey("organization_id", "feature", "period_start")
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    feature = models.TextField()
    period_start = models.DateTimeField()
    evaluated_amount = models.BigIntegerField()
    hour = models.DateTimeField(null=True, help_text="Start of the hour that `baseline` and `spike_threshold` apply to.")
    baseline = models.FloatField(null=True)
    spike_threshold = models.FloatField(null=True, help_text="A higher amount in that hour is a spike. Empty: too few hours of history.")

    class Meta:
        db_table = "usage_alert_checkpoints"
        verbose_name_plural = "alert checkpoints"

    objects: ClassVar[models.Manager["AlertCheckpoint"]]

    def __str__(self) -> str:
        return f"{self.feature}: {self.evaluated_amount}"
