"""Daily totals over all organizations, so that no page has to sum usage or count organizations."""

from typing import ClassVar

from django.db import models


class OrganizationDay(models.Model):
    """Organizations at the end of one day (UTC), and those that recorded usage."""

    day = models.DateField(primary_key=True)
    organizations = models.PositiveIntegerField(help_text="Organizations that are not closed.")
    created = models.PositiveIntegerField()
    closed = models.PositiveIntegerField()
    active = models.PositiveIntegerField(help_text="Organizations with usage on this day.")
    active_in_30_days = models.PositiveIntegerField(help_text="Organizations with usage on this day or the 29 days before.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.day)


class UsageDay(models.Model):
    """The usage of one feature on one day (UTC).

    If `tool` is empty, the row is the total. Otherwise it is the usage through that MCP tool, one of the most-called tools of the day.
    """

    day = models.DateField()
    feature = models.CharField(max_length=60)
    tool = models.TextField(blank=True)
    amount = models.BigIntegerField()
    events = models.BigIntegerField(help_text="Number of usage events, or of charged calls of the tool.")
    organizations = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [models.UniqueConstraint(fields=["day", "feature", "tool"], name="usage_day_unique")]

    def __str__(self) -> str:
        return f"{self.day} {self.feature} {self.tool}"
