"""Usage events and the idempotency keys of requests."""

from typing import ClassVar

from django.db import models

from .summaries import NO_KEY, NO_MEMBER


class UsageEvent(models.Model):
    """One recorded event. Rows are never changed; a correction is another event with a negative amount.

    The table is partitioned by the month of recording (migration 0002), so that retention detaches partitions instead of deleting rows.
    `occurred_at` determines the period that the event counts in.
    """

    # There are no constraints and no indexes beyond the primary key, because each of them would slow down every insert.
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    feature = models.TextField()
    amount = models.BigIntegerField()
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    key_id = models.UUIDField(default=NO_KEY, help_text="API key that reported the event.")
    member_id = models.BigIntegerField(default=NO_MEMBER, help_text="User that the event is attributed to.")
    digest = models.BinaryField(null=True, help_text="Digest of the event's idempotency key.")
    reason = models.TextField(null=True, help_text="Reason of a correction.")  # noqa: DJ001 - most rows have none
    properties = models.TextField(null=True, help_text="JSON text as received.")  # noqa: DJ001 - most rows have none
    tool = models.TextField(null=True, help_text="MCP tool that was charged.")  # noqa: DJ001 - most rows have none

    class Meta:
        db_table = "usage_events"

    def __str__(self) -> str:
        return f"{self.amount} {self.feature} at {self.occurred_at:%Y-%m-%d %H:%M:%S}"


class IdempotencyKey(models.Model):
    """An idempotency key that was used, and the stored response. `authorize` and `events` share this table.

    Unlike the events it is not partitioned, so (organization, digest) is unique and a lookup of a thousand keys reads one index.
    """

    pk = models.CompositePrimaryKey("organization_id", "digest")
    organization = models.ForeignKey(
        "accounts.Organization", on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    digest = models.BinaryField()
    fingerprint = models.BinaryField(
        help_text="Fingerprint of the request, which distinguishes a repeat from another request with the same key."
    )
    recorded_at = models.DateTimeField()
    response = models.TextField(null=True, help_text="Response body of `authorize`; empty for events.")  # noqa: DJ001 - most rows have none

    class Meta:
        db_table = "usage_idempotency_keys"
        verbose_name = "idempotency key"

    objects: ClassVar[models.Manager["IdempotencyKey"]]

    def __str__(self) -> str:
        return bytes(self.digest).hex()
