"""Identities that have used a trial, across all organizations."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class TrialRecord(models.Model):
    """One identity that used a trial: a user, an email address or a card. `value` is a SHA-256 digest, used only for comparison."""

    class Kind(models.TextChoices):
        USER = "user"
        EMAIL = "email"
        CARD = "card"

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="trial_records")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    value = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "kind", "value"], name="trial_record_unique")]
        indexes: ClassVar = [models.Index(fields=["kind", "value"], name="trial_record_by_value")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.organization_id}"
