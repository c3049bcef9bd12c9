"""What Stripe told us, and how far we are with it."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone


class InboxQuerySet(models.QuerySet["WebhookEvent"]):
    def waiting(self) -> Self:
        return self.filter(state=WebhookEvent.State.PENDING)

    def dead(self) -> Self:
        return self.filter(state=WebhookEvent.State.DEAD)


class WebhookEvent(models.Model):
    """One event, stored once however often it comes. The payload is a rumour: it says which customer to look at, never what is true."""

    class State(models.TextChoices):
        PENDING = "pending"
        PROCESSED = "processed"
        IGNORED = "ignored"  # nothing of it is kept here
        DEAD = "dead"  # given up; staff can replay it

    class Source(models.TextChoices):
        WEBHOOK = "webhook"
        RECONCILIATION = "reconciliation"

    event_id = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=120, db_index=True)
    subject = models.CharField(max_length=255, blank=True, help_text="The customer, or else the object, that it is about: its queue.")
    livemode = models.BooleanField(default=False)
    created = models.DateTimeField(null=True, blank=True, help_text="When Stripe made it (whole seconds).")
    payload = models.JSONField()
    source = models.CharField(max_length=16, choices=Source.choices, default=Source.WEBHOOK)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    received_at = models.DateTimeField(default=timezone.now, db_index=True)
    processed_at = models.DateTimeField(null=True, blank=True)
    objects = InboxQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        permissions: ClassVar = [("replay_webhookevent", "Can replay events")]
        indexes: ClassVar = [
            models.Index(fields=["subject"], condition=Q(state="pending"), name="inbox_waiting_by_subject"),
            models.Index(fields=["received_at"], condition=Q(state__in=["pending", "dead"]), name="inbox_unfinished"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} {self.type}"
