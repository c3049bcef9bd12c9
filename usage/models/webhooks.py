"""Webhook endpoints of organizations, and the deliveries to them."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from contextmcp.common.ids import uuid7


class WebhookEndpoint(models.Model):
    """A URL that receives an organization's webhooks. Its signing secret is stored encrypted (webhooks/secrets.py) and shown once.

    While the previous secret is valid, each message carries one signature per secret.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="webhook_endpoints")
    url = models.URLField(max_length=2048)
    description = models.CharField(max_length=200, blank=True)
    event_types = ArrayField(models.CharField(max_length=64), help_text="Event types that are sent to this endpoint.")
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=100, blank=True)
    secret = models.BinaryField(editable=False, help_text="Encrypted.")
    previous_secret = models.BinaryField(null=True, editable=False, help_text="Encrypted.")
    previous_secret_expires_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True, help_text="Time of the first failed attempt since the last success.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "usage_webhook_endpoints"
        ordering = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["-failing_since"], condition=Q(failing_since__isnull=False), name="webhook_endpoint_failing")
        ]

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    """One message to one endpoint. It is created in the transaction of the change and ends as delivered or failed."""

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    event_type = models.CharField(max_length=64)
    body = models.TextField(help_text="Request body, exactly as it is signed and sent.")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    claimed_until = models.DateTimeField(null=True, blank=True, help_text="When the sending worker's lease expires.")
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "usage_webhook_deliveries"
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "webhook deliveries"
        indexes: ClassVar = [
            models.Index(fields=["next_attempt_at"], condition=Q(state="pending"), name="webhook_delivery_due"),
            models.Index(fields=["endpoint", "-created_at"], name="webhook_delivery_by_endpoint"),
            models.Index(fields=["-id"], condition=Q(state="failed"), name="webhook_delivery_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} to {self.endpoint_id}"

    @property
    def message_id(self) -> str:
        """Return the value of the `webhook-id` header. It is the same for every attempt, so that receivers can detect duplicates."""
        return f"msg_{self.id.hex}"


class WebhookAttempt(models.Model):
    """One attempt to send a message, with its result. It is deleted with the message."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="attempt_log", db_index=False)
    at = models.DateTimeField(help_text="When the result was known.")
    status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=32, blank=True)
    milliseconds = models.PositiveIntegerField(null=True, help_text="Time until the response. Empty if nothing was sent.")

    class Meta:
        db_table = "usage_webhook_attempts"
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["delivery", "id"], name="webhook_attempt_by_delivery")]

    def __str__(self) -> str:
        return f"{self.status or self.error} at {self.at:%Y-%m-%d %H:%M:%S}"
