"""Refused requests, counted by minute."""

from typing import ClassVar

from django.db import models

from .summaries import NO_KEY


class RefusalSummary(models.Model):
    """How often requests of an organization were refused for one reason in one minute (UTC, real time also with a test clock).

    A row without feature, key and tool also counts the refusals of its code that exceeded the number of rows per minute.
    """

    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    minute = models.DateTimeField(help_text="Start of the minute.")
    code = models.TextField(help_text="Code of the error, such as quota_exceeded.")
    feature = models.TextField(blank=True, help_text="Feature that was refused. Empty if the reason concerns no feature.")
    key_id = models.UUIDField(default=NO_KEY, help_text="API key or connected app that sent the requests.")
    tool = models.TextField(blank=True, help_text="MCP tool that was called, as the pricing file names it.")
    count = models.BigIntegerField(help_text="Number of refused requests, or of refused events of a request.")

    class Meta:
        db_table = "usage_refusal_summaries"
        verbose_name = "refusal"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "minute", "code", "feature", "key_id", "tool"], name="usage_refusal_summary_unique"
            )
        ]
        # This index is for the list of all organizations, and for deleting old rows.
        indexes: ClassVar = [models.Index(fields=["minute", "id"], name="usage_refusal_summary_minute")]

    objects: ClassVar[models.Manager["RefusalSummary"]]

    def __str__(self) -> str:
        return f"{self.count} x {self.code} at {self.minute:%Y-%m-%d %H:%M}"
