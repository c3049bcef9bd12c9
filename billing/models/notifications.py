"""Billing emails that are due or sent."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class BillingNotification(models.Model):
    """One billing email. Unique by (kind, object, transition), so that repeated webhook deliveries send it once."""

    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="billing_notifications")
    kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=64)
    transition = models.CharField(max_length=64)
    details = models.JSONField(default=dict)
    due_at = models.DateTimeField(
        default=timezone.now, help_text="When the email is due. For organizations with a Stripe test clock, in test-clock time."
    )
    sent_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True, help_text="When the sending worker's lease expires.")
    canceled_at = models.DateTimeField(
        null=True, blank=True, help_text="Set when the email no longer applied at its due time and was not sent."
    )
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "object_id", "transition"], name="notification_unique")]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], condition=Q(sent_at=None, canceled_at=None), name="notification_pending"),
            models.Index(fields=["object_id"], name="notification_by_object"),
            models.Index(fields=["-id"], condition=Q(sent_at=None), name="notification_unsent"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id} {self.transition}"
