"""What every app may need a row for."""

from typing import ClassVar

from django.db import models


class IdempotencyRecord(models.Model):
    """The first successful answer to a POST with an `Idempotency-Key`; repeats are answered from here."""

    owner = models.CharField(max_length=64, help_text="Whose key space: an organization's or a user's id.")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField()
    response = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "key"], name="idempotency_once_per_owner")]

    def __str__(self) -> str:
        return f"{self.owner} {self.key}"
