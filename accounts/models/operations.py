"""Models of the operation of the service: work items of staff, alerts to the operator and their delivery, and saved views of lists."""

from datetime import datetime
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from contextmcp.common.ids import uuid7


class WorkItemQuerySet(models.QuerySet["WorkItem"]):
    def open(self, *, at: datetime) -> Self:
        """Return the items that are open at `at`: neither closed nor snoozed."""
        return self.filter(Q(snoozed_until=None) | Q(snoozed_until__lte=at), closed_at=None)

    def snoozed(self, *, at: datetime) -> Self:
        """Return the items that are hidden until a time after `at`."""
        return self.filter(closed_at=None, snoozed_until__gt=at)


class SavedView(models.Model):
    """Filters and search of one list of the admin, under a name. Shared views are shown to all staff who may view the list."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    model = models.CharField(max_length=100, help_text="Model of the list, such as billing.invoice.")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2000, blank=True, help_text="Query string of the list's URL.")
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name", "id"]
        permissions: ClassVar = [
            ("share_savedview", "Can share saved views with all staff"),
            ("export_lists", "Can export lists other than those of billing as CSV"),
            ("export_billing_lists", "Can export lists of billing as CSV"),
        ]
        constraints: ClassVar = [models.UniqueConstraint(fields=["owner", "model", "name"], name="saved_view_unique")]
        indexes: ClassVar = [models.Index(fields=["model"], condition=Q(shared=True), name="saved_view_shared")]

    def __str__(self) -> str:
        return self.name


class WorkItem(models.Model):
    """A problem that staff must handle, identified by its kind and object. The back office detects it and closes it when it has ended.

    `occurrence` identifies the latest occurrence of the problem. A closed item reopens when the problem occurs again.
    """

    class Priority(models.IntegerChoices):
        NORMAL = 1
        HIGH = 2
        URGENT = 3

    kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=255, help_text="ID of the object that has the problem.")
    occurrence = models.CharField(max_length=100, blank=True)
    organization = models.ForeignKey("accounts.Organization", null=True, blank=True, on_delete=models.PROTECT, related_name="work_items")
    title = models.CharField(max_length=255)
    detail = models.TextField(blank=True)
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now, help_text="When it happened last, as far as the back office noticed.")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", help_text="Who works on it."
    )
    snoozed_until = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Empty if the problem ended by itself.",
    )
    note = models.CharField(max_length=200, blank=True, help_text="What was done about it.")
    objects = WorkItemQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-priority", "-last_seen_at", "-id"]
        permissions: ClassVar = [("handle_workitem", "Can assign, snooze and close work items")]
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "object_id"], name="work_item_unique")]
        indexes: ClassVar = [
            models.Index(fields=["-priority", "-last_seen_at", "-id"], name="work_item_by_priority"),
            models.Index(fields=["closed_at"], condition=Q(closed_at__isnull=False), name="work_item_closed"),
        ]

    def __str__(self) -> str:
        return self.title


class OperatorAlert(models.Model):
    """A problem that only the operator can fix, such as a reason for which Stripe rejects customers' requests.

    There is one alert for each kind and object. It is open until its condition ends or staff resolve it. Another occurrence reopens it.
    """

    code = models.CharField(max_length=60, help_text="Error code that customers received, or the kind of problem that was detected.")
    subject = models.CharField(max_length=128, blank=True, help_text="The object that has the problem. Empty if it concerns the service.")
    message = models.TextField(help_text="Details of the latest occurrence.")
    organization = models.ForeignKey(
        "accounts.Organization",
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Organization affected by the latest occurrence.",
    )
    occurrences = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    notified_at = models.DateTimeField(null=True, blank=True, help_text="When the operator was last notified that the alert is open.")
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-last_seen_at", "-id"]
        permissions: ClassVar = [
            ("resolve_operatoralert", "Can mark operator alerts as resolved"),
            ("test_operatoralert", "Can send test alerts"),
        ]
        constraints: ClassVar = [models.UniqueConstraint(fields=["code", "subject"], name="operator_alert_unique")]
        indexes: ClassVar = [
            models.Index(fields=["-last_seen_at", "-id"], name="operator_alert_newest"),
            models.Index(fields=["code"], condition=Q(resolved_at=None), name="operator_alert_open"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.subject}".strip()


class AlertDelivery(models.Model):
    """One message about an alert to one of the operator's webhooks. It ends as delivered or failed."""

    class Channel(models.TextChoices):
        WEBHOOK = "webhook", "Webhook"
        SLACK = "slack", "Slack"

    class State(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    alert = models.ForeignKey(
        OperatorAlert, null=True, blank=True, on_delete=models.CASCADE, related_name="deliveries", help_text="Empty for a test."
    )
    channel = models.CharField(max_length=8, choices=Channel.choices)
    event = models.CharField(max_length=10, help_text="opened, repeated, resolved or test.")
    body = models.TextField(help_text="Request body, exactly as it is sent.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(default=timezone.now)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "alert deliveries"
        indexes: ClassVar = [models.Index(fields=["next_attempt_at"], condition=Q(state="pending"), name="alert_delivery_due")]

    def __str__(self) -> str:
        return f"{self.event} to {self.channel}"
