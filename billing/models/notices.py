"""What is to be said once: a mail for each thing that happened to each object."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Notice(models.Model):
    """A mail that is due. Unique by (kind, object, transition), so that no number of deliveries says it twice."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="billing_notices")
    kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=64)
    transition = models.CharField(max_length=64)
    details = models.JSONField(default=dict)
    due_at = models.DateTimeField(default=timezone.now, help_text="By the organization's clock.")
    sent_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True, help_text="Somebody is sending it.")
    dropped_at = models.DateTimeField(null=True, blank=True, help_text="It was no longer true when it was due.")
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "object_id", "transition"], name="notice_said_once")]
        indexes: ClassVar = [models.Index(fields=["due_at"], condition=Q(sent_at=None, dropped_at=None), name="notice_waiting")]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id} {self.transition}"
