"""What an organization was warned of, and how far we looked."""

from datetime import UTC, datetime
from typing import ClassVar

from django.db import models
from django.utils import timezone

from contextmcp.common.ids import uuid7

# Levels have no counter of a period: what was last seen of them stands under this one.
NO_PERIOD = datetime(1970, 1, 1, tzinfo=UTC)


class UsageAlert(models.Model):
    """One warning. Unique in its period, so that no number of looks says it twice."""

    class Kind(models.TextChoices):
        HALF = "threshold_50", "50 % used"
        MOST = "threshold_80", "80 % used"
        ALL = "threshold_100", "100 % used"
        SPIKE = "spike", "Spike"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="usage_alerts", db_index=False)
    feature = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    kind = models.CharField(max_length=16, choices=Kind)
    used = models.BigIntegerField(help_text="Of the period, or in use; for a spike, in its hour.")
    included = models.BigIntegerField(null=True, blank=True, help_text="What the plan included when it was crossed.")
    usual = models.FloatField(null=True, blank=True, help_text="Of a spike: the mean of the hours it was compared with.")
    hour = models.DateTimeField(null=True, blank=True, help_text="Of a spike: when its hour began.")
    happened_at = models.DateTimeField(help_text="By the organization's clock.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "usage_alerts"
        ordering = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "feature", "period_start", "kind"], name="usage_alert_once_a_period")
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.feature}"

    @property
    def threshold(self) -> int | None:
        """In per cent; None for a spike."""
        return None if self.kind == self.Kind.SPIKE else int(self.kind.removeprefix("threshold_"))


class UsageWatch(models.Model):
    """What was last seen of a counter or a level: only what differs from it is looked at again.

    A table of its own, so that looking never waits for, nor holds up, the statement that counts.
    """

    pk = models.CompositePrimaryKey("organization_id", "feature", "period_start")
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    feature = models.TextField()
    period_start = models.DateTimeField()
    seen = models.BigIntegerField()
    hour = models.DateTimeField(null=True, help_text="The hour that `usual` and `spike_above` hold for.")
    usual = models.FloatField(null=True)
    spike_above = models.FloatField(null=True, help_text="More than this in that hour is a spike; empty: too little past to say.")

    class Meta:
        db_table = "usage_watches"
        verbose_name_plural = "usage watches"

    objects: ClassVar[models.Manager["UsageWatch"]]

    def __str__(self) -> str:
        return f"{self.feature}: {self.seen}"
