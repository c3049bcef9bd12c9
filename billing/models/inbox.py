"""Received Stripe events and the state of their processing."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone


class InboxQuerySet(models.QuerySet["WebhookEvent"]):
    def pending(self) -> Self:
        return self.filter(state=WebhookEvent.State.PENDING)

    def dead(self) -> Self:
        return self.filter(state=WebhookEvent.State.DEAD)


class WebhookEvent(models.Model):
    """One event, stored once however often it is delivered. Its payload only selects the customer to sync; it is never used as data."""

    class State(models.TextChoices):
        PENDING = "pending"
        PROCESSED = "processed"
        IGNORED = "ignored"  # the event does not affect stored data
        DEAD = "dead"  # all attempts failed; staff can replay or discard it
        DISCARDED = "discarded"  # staff decided not to process it

    class Source(models.TextChoices):
        WEBHOOK = "webhook"
        RECONCILIATION = "reconciliation"

    event_id = models.CharField(max_length=255, unique=True)
    type = models.CharField(max_length=120, db_index=True)
    subject = models.CharField(
        max_length=255,
        blank=True,
        help_text="ID of the customer, or else of the object. Events with the same subject are processed in order.",
    )
    livemode = models.BooleanField(default=False)
    created = models.DateTimeField(null=True, blank=True, help_text="When Stripe created the event (whole seconds).")
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
        permissions: ClassVar = [("replay_webhookevent", "Can replay events"), ("discard_webhookevent", "Can discard dead events")]
        indexes: ClassVar = [
            models.Index(fields=["subject"], condition=Q(state="pending"), name="inbox_pending_by_subject"),
            models.Index(fields=["received_at"], condition=Q(state__in=["pending", "dead"]), name="inbox_unfinished"),
            models.Index(fields=["subject"], name="inbox_by_subject"),
            models.Index(fields=["type", "-id"], name="inbox_by_type"),
            models.Index(fields=["-id"], condition=Q(source="reconciliation"), name="inbox_reconciled"),
            # For the list of staff: without it, a state that few or no events have is searched in the whole table.
            models.Index(fields=["-id"], condition=Q(state__in=["pending", "dead", "discarded"]), name="inbox_rare_states"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} {self.type}"
