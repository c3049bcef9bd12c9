"""Totals by hour and by day, written by the same statement that writes the events."""

from typing import ClassVar
from uuid import UUID

from django.db import models

# Values for events without a key or member. They are part of the primary key, which cannot contain NULL.
NO_KEY = UUID(int=0)
NO_MEMBER = 0


class Grain(models.TextChoices):
    """The length of a summary's bucket."""

    HOUR = "h"
    DAY = "d"


class UsageSummary(models.Model):
    """Total usage of a meter by one key and one member in one hour or one day (UTC)."""

    pk = models.CompositePrimaryKey("organization_id", "grain", "bucket", "feature", "key_id", "member_id")
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    grain = models.CharField(max_length=1, choices=Grain)
    bucket = models.DateTimeField(help_text="Start of the hour or day.")
    feature = models.TextField()
    key_id = models.UUIDField(default=NO_KEY)
    member_id = models.BigIntegerField(default=NO_MEMBER)
    amount = models.BigIntegerField()
    events = models.BigIntegerField()

    class Meta:
        db_table = "usage_summaries"
        verbose_name_plural = "usage summaries"

    objects: ClassVar[models.Manager["UsageSummary"]]

    def __str__(self) -> str:
        return f"{self.amount} {self.feature} from {self.bucket:%Y-%m-%d %H:%M}"


class UsageToolSummary(models.Model):
    """The part of a meter's usage in one hour or one day (UTC) that one MCP tool caused.

    It is a table of its own, so that usage without a tool costs no more to count.
    """

    pk = models.CompositePrimaryKey("organization_id", "grain", "bucket", "feature", "tool")
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    grain = models.CharField(max_length=1, choices=Grain)
    bucket = models.DateTimeField(help_text="Start of the hour or day.")
    feature = models.TextField()
    tool = models.TextField(help_text="Name of the tool.")
    amount = models.BigIntegerField()
    events = models.BigIntegerField(help_text="Number of charged calls.")

    class Meta:
        db_table = "usage_tool_summaries"
        verbose_name_plural = "usage tool summaries"

    objects: ClassVar[models.Manager["UsageToolSummary"]]

    def __str__(self) -> str:
        return f"{self.amount} {self.feature} by {self.tool} from {self.bucket:%Y-%m-%d %H:%M}"
