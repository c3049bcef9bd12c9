"""The cache invalidation log."""

from django.db import models
from django.db.models.functions import Now


class InvalidationEntry(models.Model):
    """The cache invalidation log, polled by every process (see `invalidation`).

    Triggers write rows when a key, membership, organization or user changes; `invalidation.publish` writes them for other kinds.
    The column `xid` (migration 0002) makes polling exact although transactions do not commit in the order of their row IDs.
    """

    id = models.BigAutoField(primary_key=True)
    organization_id = models.UUIDField(null=True, help_text="Empty if the entry concerns all organizations.")
    key_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=20, help_text="key, member, organization, entitlements, ...")
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.key_id or self.organization_id}"
