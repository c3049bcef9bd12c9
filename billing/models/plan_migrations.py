"""Moves of many subscribers to another version of their plan, and the result for each of them."""

from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from contextmcp.common.ids import uuid7


class PlanMigration(models.Model):
    """A move of the subscribers of a plan to a version of it, which background jobs execute one by one.

    `total` is empty until the subscribers are selected. The move is finished when all of them are moved, skipped or failed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    to_version = models.ForeignKey("entitlements.PlanVersion", on_delete=models.PROTECT, related_name="+")
    from_version = models.ForeignKey(
        "entitlements.PlanVersion",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Only subscribers of this version. Empty for all other versions of the plan.",
    )
    reason = models.CharField(max_length=200)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    total = models.PositiveIntegerField(null=True, blank=True)
    queued_until = models.BigIntegerField(default=0, help_text="ID of the last subscriber whose job was queued.")
    moved = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    stopped_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "plan move"

    def __str__(self) -> str:
        return f"Move to {self.to_version}"

    @property
    def settled(self) -> int:
        """Return the number of subscribers whose result is known."""
        return self.moved + self.skipped + self.failed

    @property
    def state(self) -> str:
        """Return finished, stopped, selecting or running."""
        if self.finished_at:
            return "finished"
        return "stopped" if self.stopped_at else "selecting" if self.total is None else "running"


class PlanMigrationItemQuerySet(models.QuerySet["PlanMigrationItem"]):
    def waiting(self) -> Self:
        return self.filter(state=PlanMigrationItem.State.WAITING)


class PlanMigrationItem(models.Model):
    """One subscriber of a move, and its result."""

    class State(models.TextChoices):
        WAITING = "waiting"
        MOVED = "moved"
        SKIPPED = "skipped"  # its subscription changed or cannot be moved now
        FAILED = "failed"  # all attempts failed

    migration = models.ForeignKey(PlanMigration, on_delete=models.CASCADE, related_name="items")
    organization = models.ForeignKey("accounts.Organization", on_delete=models.PROTECT, related_name="+")
    stripe_subscription_id = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    note = models.CharField(max_length=300, blank=True, help_text="Why the subscriber was skipped, or the last error.")
    settled_at = models.DateTimeField(null=True, blank=True)
    objects = PlanMigrationItemQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        verbose_name = "subscriber of a plan move"
        verbose_name_plural = "subscribers of plan moves"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["migration", "stripe_subscription_id"], name="plan_migration_item_unique"),
        ]
        indexes: ClassVar = [
            models.Index(F("migration"), F("id"), condition=Q(state="waiting"), name="plan_migration_waiting"),
            models.Index(F("migration"), F("id"), condition=Q(state__in=["skipped", "failed"]), name="plan_migration_not_moved"),
        ]

    def __str__(self) -> str:
        return f"{self.stripe_subscription_id} {self.state}"
