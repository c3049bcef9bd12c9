"""What happened, once each."""

from typing import ClassVar

from django.db import models

from .summaries import NO_KEY, NOBODY


class UsageEvent(models.Model):
    """One thing that was counted: never changed, corrected only by another with a negative amount.

    Partitioned by the month it was recorded in (migration 0002), so that retention detaches a partition instead of deleting rows.
    `occurred_at` says which period it belongs to.
    """

    # No constraint and no index beyond the primary key: each would be paid for by every single event.
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    feature = models.TextField()
    amount = models.BigIntegerField()
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    key_id = models.UUIDField(default=NO_KEY, help_text="The API key that reported it.")
    member_id = models.BigIntegerField(default=NOBODY, help_text="The user it is put down to.")
    digest = models.BinaryField(null=True, help_text="Of its idempotency key.")
    reason = models.TextField(null=True, help_text="Why a correction was made.")  # noqa: DJ001 - most rows have none
    properties = models.TextField(null=True, help_text="JSON, as it was sent.")  # noqa: DJ001 - most rows have none

    class Meta:
        db_table = "usage_events"

    def __str__(self) -> str:
        return f"{self.amount} {self.feature} at {self.occurred_at:%Y-%m-%d %H:%M:%S}"


class EventKey(models.Model):
    """An idempotency key that was used, and what was answered. One table for `authorize` and `events`, whatever partition the event is in.

    Not partitioned, unlike the events: so (organization, digest) is exact, and reading a thousand touches one index.
    """

    pk = models.CompositePrimaryKey("organization_id", "digest")
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    digest = models.BinaryField()
    fingerprint = models.BinaryField(help_text="Of the request, to tell a repeat from another use of the same key.")
    recorded_at = models.DateTimeField()
    answer = models.TextField(null=True, help_text="What `authorize` said; events need none.")  # noqa: DJ001 - most rows have none

    class Meta:
        db_table = "usage_event_keys"
        verbose_name = "idempotency key"

    objects: ClassVar[models.Manager["EventKey"]]

    def __str__(self) -> str:
        return bytes(self.digest).hex()
