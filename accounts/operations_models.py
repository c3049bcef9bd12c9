"""Models of the operation of the service: items of the work queue of staff."""

from datetime import datetime
from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class WorkItemQuerySet(models.QuerySet["WorkItem"]):
    def open(self, *, at: datetime) -> Self:
        """Return the items that need a person at `at`: neither closed nor snoozed."""
        return self.filter(Q(snoozed_until=None) | Q(snoozed_until__lte=at), closed_at=None)

    def snoozed(self, *, at: datetime) -> Self:
        """Return the items that are hidden until a time after `at`."""
        return self.filter(closed_at=None, snoozed_until__gt=at)


class WorkItem(models.Model):
    """A problem that needs a person, identified by its kind and object. The back office finds it and closes it when it has ended.

    `occurrence` identifies what happened to the object last. A closed item opens again when it happens another time.
    """

    class Priority(models.IntegerChoices):
        URGENT = 1
        HIGH = 2
        NORMAL = 3

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
        ordering: ClassVar = ["priority", "-last_seen_at", "-id"]
        permissions: ClassVar = [("handle_workitem", "Can assign, snooze and close work items")]
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "object_id"], name="work_item_unique")]
        indexes: ClassVar = [
            models.Index(fields=["priority", "-last_seen_at", "-id"], condition=Q(closed_at=None), name="work_item_open"),
            models.Index(fields=["closed_at"], condition=Q(closed_at__isnull=False), name="work_item_closed"),
        ]

    def __str__(self) -> str:
        return self.title
