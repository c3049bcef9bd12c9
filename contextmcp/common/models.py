"""Models that all apps use: idempotency records, outgoing email and counts of incidents."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q


class IdempotencyRecord(models.Model):
    """The first successful response to a POST with an `Idempotency-Key`, which repeated requests receive."""

    owner = models.CharField(max_length=64, help_text="ID of the organization, membership or user that the key belongs to.")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField()
    response = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "key"], name="idempotency_record_unique")]

    def __str__(self) -> str:
        return f"{self.owner} {self.key}"


class OutgoingEmail(models.Model):
    """An email that a worker delivers. Its text may contain a link and is deleted when it is delivered or given up."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        SENT = "sent", "Sent"
        FAILED = "failed", "Given up"

    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    category = models.CharField(max_length=64, help_text="Kind of email, such as invitation or password_reset_key.")
    reference = models.CharField(max_length=64, blank=True, help_text="ID of the object that the email is about.")
    # A UUID and not a foreign key, because `accounts`, which defines organizations, depends on this app.
    organization_id = models.UUIDField(
        null=True, blank=True, help_text="ID of the organization that the email concerns, if it concerns one."
    )
    recipients = ArrayField(models.EmailField(max_length=320))
    from_email = models.CharField(max_length=320)
    subject = models.CharField(max_length=998)
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    unsubscribe = models.TextField(blank=True, default="", db_default="", help_text="The header List-Unsubscribe.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    next_attempt_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        verbose_name = "email"
        indexes: ClassVar = [
            models.Index(fields=["next_attempt_at"], condition=Q(state="queued"), name="email_due"),
            models.Index(
                fields=["organization_id", "-created_at", "-id"], condition=Q(organization_id__isnull=False), name="email_by_organization"
            ),
            models.Index(fields=["-created_at"], condition=Q(state="failed"), name="email_failed"),
            models.Index(fields=["category", "-id"], name="email_by_category"),
            models.Index(fields=["reference"], condition=~Q(reference=""), name="email_by_reference"),
            GinIndex(fields=["recipients"], name="email_by_recipient"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(state="queued") | Q(text="", html=""), name="email_body_only_while_queued")
        ]

    def __str__(self) -> str:
        return f"{self.category} to {', '.join(self.recipients)}"


class IncidentCount(models.Model):
    """The number of incidents of one kind that concerned one subject in one minute, in all processes together."""

    kind = models.CharField(max_length=40)
    subject = models.CharField(max_length=64, help_text="What it concerns, such as a network address or a key.")
    minute = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "minute", "subject"], name="incident_count_unique")]

    def __str__(self) -> str:
        return f"{self.count} {self.kind} {self.subject} at {self.minute:%Y-%m-%d %H:%M}"
