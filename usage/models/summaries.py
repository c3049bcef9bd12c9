"""Totals by hour and by day, written by the statement that writes the events."""

from typing import ClassVar
from uuid import UUID

from django.db import models

# They stand in the primary key, where NULL cannot.
NO_KEY = UUID(int=0)
NOBODY = 0


class Grain(models.TextChoices):
    HOUR = "h"
    DAY = "d"


class UsageSummary(models.Model):
    """What one key and one member used of a meter in one hour or one day (UTC)."""

    pk = models.CompositePrimaryKey("organization_id", "grain", "bucket", "feature", "key_id", "member_id")
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    grain = models.CharField(max_length=1, choices=Grain)
    bucket = models.DateTimeField(help_text="When the hour or day begins.")
    feature = models.TextField()
    key_id = models.UUIDField(default=NO_KEY)
    member_id = models.BigIntegerField(default=NOBODY)
    amount = models.BigIntegerField()
    events = models.BigIntegerField()

    class Meta:
        db_table = "usage_summaries"
        verbose_name_plural = "usage summaries"

    objects: ClassVar[models.Manager["UsageSummary"]]

    def __str__(self) -> str:
        return f"{self.amount} {self.feature} from {self.bucket:%Y-%m-%d %H:%M}"
